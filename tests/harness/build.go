package harness

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// coverDir names the variable of the folder that a program built with -cover leaves its counters in: see make cover.
const coverDir = "GOCOVERDIR"

// build builds the program and returns a path of it that is this process's own. What is built is kept in the user's cache, for the
// next test binary: go build then only finds that nothing has changed, and does not link for seconds.
var build = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil { // no home
		cache = os.TempDir()
	}
	kept := filepath.Join(cache, "matric-events-test", fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:16], "matric-events") // each checkout has its own
	args := []string{"build", "-o"}
	if os.Getenv(coverDir) != "" {
		kept += "-cover"
		args = []string{"build", "-cover", "-coverpkg=github.com/matric/matric-events/...", "-o"}
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(kept + ".lock") // test binaries run beside each other
	if err != nil {
		return "", err
	}
	defer unlock()
	if out, err := exec.Command("go", append(args, kept, "github.com/matric/matric-events/cmd/matric-events")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "matric-events-test")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "matric-events")
	if err := os.Link(kept, bin); err != nil { // on another file system
		err = copyFile(kept, bin)
		if err != nil {
			return "", err
		}
	}
	return bin, nil
})

// moduleRoot returns the folder of go.mod, above the one that a test runs in.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the working directory")
}

// lock waits until no other process holds the file's lock. The end of a process gives its locks back.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
