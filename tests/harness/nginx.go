package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx runs a site's configuration in front of a server and returns where it listens. The site is as in docs/examples: what
// it names as upstream becomes the server, its port 80 a free one of loopback, and listen is added to that line, such as
// "ssl http2". Without nginx the test is skipped as by Missing.
func Nginx(t testing.TB, s *Server, site, listen string) (addr string) {
	t.Helper()
	program := Need(t, "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // started by root, the workers are somebody else
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	site = strings.NewReplacer(
		"server 127.0.0.1:8080;", "server "+strings.TrimPrefix(s.URL, "http://")+";",
		"listen 80;", "listen "+addr+" "+listen+";",
		"events.example.com", "localhost",
	).Replace(site)
	conf := fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s/a;\nproxy_temp_path %[1]s/b;\n"+
		"fastcgi_temp_path %[1]s/c;\nuwsgi_temp_path %[1]s/d;\nscgi_temp_path %[1]s/e;\n%[2]s\n}\n", dir, site)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", file)
	var log strings.Builder
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was told to end
		if t.Failed() {
			t.Logf("nginx: %s", log.String())
		}
	})
	for over := time.Now().Add(Patience); ; time.Sleep(10 * time.Millisecond) { // nothing announces it
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(over) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}
