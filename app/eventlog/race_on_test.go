//go:build race

package eventlog_test

// raceEnabled says that sync.Pool drops things at random, so that allocations cannot be counted.
const raceEnabled = true
