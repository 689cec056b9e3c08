//go:build race

package eventlog_test

// raceEnabled says that everything is slower, and that sync.Pool drops things at random.
const raceEnabled = true
