package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// tlsSite runs the operators' example site in front of a hub, as it is but for its addresses, with TLS and HTTP/2, and returns
// its URL. Buffering is on, as in the example.
func tlsSite(t *testing.T, s *harness.Server) string {
	t.Helper()
	site, err := os.ReadFile("../../docs/examples/operations/nginx-site.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate(t, dir)
	listen := fmt.Sprintf("ssl http2; ssl_certificate %s/cert.pem; ssl_certificate_key %[1]s/key.pem", dir)
	return "https://" + harness.Nginx(t, s, string(site), listen)
}

// certificate writes a certificate that nobody trusts, and its key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The page behind a proxy that ends TLS and buffers: native EventSource over HTTP/2 and WebSocket over TLS, each event at once.
func TestBoardBehindTLS(t *testing.T) {
	t.Parallel()
	b, origin := chromium(t), site(t)
	s := harness.Serve(t, "--allowed-origins", origin)
	url := tlsSite(t, s)
	for _, transport := range []string{"sse", "ws"} {
		page := b.open(t, origin+"/index.html?transport="+transport+"&hub="+url)
		page.await(`document.querySelector("#state").className === "live"`)
		for n := range 3 { // each shows before the next is made: no buffer holds it back
			s.Call(202, "POST", "/api/v1/note-events", fmt.Sprintf(`{"operation":"created","note_id":"0194e6a0-0000-7000-8000-00000000000%d","title":"%s %[1]d"}`, n, transport))
			page.await(fmt.Sprintf(`document.querySelector("#notes").textContent.includes("%s %d")`, transport, n))
		}
	}
}

// The same for programs: Go's HTTP client speaks HTTP/2, curl whatever it likes.
func TestStreamBehindTLS(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--no-host")
	url := tlsSite(t, s) + "/api/v1/events?types=note"
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} // as curl's --insecure
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("%s; want HTTP/2", resp.Proto)
	}
	cmd := exec.CommandContext(t.Context(), harness.Need(t, "curl"), "-sN", "--insecure", url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	s.AwaitConnections(2)
	fromGo, fromCurl := harness.Follow(t, resp.Body), harness.Follow(t, out)
	for n, id := range publish(s, 0, 3) {
		for _, stream := range []*harness.Stream{fromGo, fromCurl} {
			if e, ok := stream.Next(); !ok || e.ID != id {
				t.Errorf("event %d is %q, %v", n, e.ID, ok)
			}
		}
	}
}
