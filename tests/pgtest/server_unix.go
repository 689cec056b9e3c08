//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// nobody is the user of last resort. PostgreSQL needs no entry in the list of users for it.
const nobody = 65534

// watchdog runs the command that follows its name until its standard input ends, which is when the process that holds the
// other end has ended, were it by kill -9. Then it removes the directory. For each line of input it ends the command by the
// signal that the line names, and runs it again.
const watchdog = `dir=$1; shift
"$@" </dev/null & server=$!
while read -r signal; do
	kill -"$signal" $server
	wait $server
	"$@" </dev/null & server=$!
done
kill -QUIT $server
wait $server
rm -rf "$dir"`

// start makes a data directory and a server on it, and returns its URL, and what its watchdog reads.
func start() (dsn string, leash io.WriteCloser, err error) {
	bin, err := binaries()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "pgtest") // a socket's path has at most 107 bytes
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			err = errors.Join(fmt.Errorf("%w\n%s", err, log), os.RemoveAll(dir))
		}
	}()
	as, err := unprivileged(dir)
	if err != nil {
		return "", nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", nil, err
	}
	defer log.Close()
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir // the present one may be closed to the other user
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true} // an interrupt is for the test only
		return cmd
	}
	data := filepath.Join(dir, "data")
	if err := command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--no-sync", "--no-instructions").Run(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w", err)
	}
	return serve(command, dir, append([]string{filepath.Join(bin, "postgres"), "-D", data}, settings(dir)...))
}

// serve runs the server under the watchdog.
func serve(command func(name string, args ...string) *exec.Cmd, dir string, server []string) (string, io.WriteCloser, error) {
	cmd := command("/bin/sh", append([]string{"-c", watchdog, "watchdog", dir}, server...)...)
	leash, err := cmd.StdinPipe() // held open until the process ends
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // what there is to say is in the log
		close(ended)
	}()
	dsn := socketURL(dir)
	if err := await(dsn, ended); err != nil {
		_ = leash.Close()
		<-ended
		return "", nil, err
	}
	return dsn, leash, nil
}

// binaries returns the directory that initdb and postgres are in.
func binaries() (string, error) {
	if dir := os.Getenv("PG_BIN"); dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is a valid constant
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL binaries in PG_BIN, PATH or /usr/lib/postgresql; set PGTEST_DSN to use a server")
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// version is the number in /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged returns who the server runs as, nil for this user, and gives the directory to that one.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	uid, gid := nobody, nobody
	if u, err := user.Lookup("postgres"); err == nil {
		uid, _ = strconv.Atoi(u.Uid) // on Unix it is a number
		gid, _ = strconv.Atoi(u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}
