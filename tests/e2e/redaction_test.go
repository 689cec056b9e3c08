package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/matric/matric-events/tests/harness"
)

// canaries are things that must not come out of a log or a metric. Each has a name that says where it was put.
type canaries struct{ planted []string }

func (c *canaries) plant(where string) string {
	name := "c4n4ry" + where
	c.planted = append(c.planted, name)
	return name
}

// leaks fails the test for each canary, and each generated secret, that is in a text.
func (c *canaries) leaks(t *testing.T, place, text string) {
	t.Helper()
	for _, name := range c.planted {
		if strings.Contains(text, name) {
			for line := range strings.Lines(text) {
				if strings.Contains(line, name) {
					t.Errorf("%s is in %s: %s", name, place, line)
				}
			}
		}
	}
}

// TestNothingSecretIsLogged runs the program on every level, puts secrets and private texts wherever one can, in what is
// right and what is wrong, and looks for them in everything that comes out.
func TestNothingSecretIsLogged(t *testing.T) {
	for _, flags := range []string{
		"--log-level trace", "--log-level debug", "--log-level info", "--log-level warn", "--log-level error",
		"--log-level trace --log-format console", "--log-level trace --require-auth",
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			c := &canaries{}
			token := c.plant("Token")
			file := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(file, []byte(token+" ada\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := harness.Serve(t, append(strings.Fields(flags), "--auth-tokens-file", file, "--webhook-allow-http",
				"--webhook-allow-cidr", "127.0.0.0/8", "--webhook-retry-initial", "10ms", "--webhook-timeout", "2s")...)
			u := &user{t: t, s: s, c: c, token: token}
			u.connect()
			u.hook()
			u.writeNotes()
			u.work()
			u.blunder()
			metrics := u.do("GET", "/metrics", "")
			c.leaks(t, "the metrics", metrics)
			if code := s.Stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			log := s.Stderr()
			c.leaks(t, "the log", log)
			if !strings.Contains(flags, "console") {
				documented(t, log)
			}
			for _, sign := range u.signs(flags) {
				if !strings.Contains(log, sign) {
					t.Errorf("no %q in the log: the test looks at too little", sign)
				}
			}
		})
	}
}

// documented fails the test for each field of a line, and each message, that docs/operations/logs.md does not have.
func documented(t *testing.T, log string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"config.*": true}
	for line := range strings.Lines(string(doc)) {
		if columns := strings.Split(line, "|"); len(columns) > 2 {
			for i, name := range strings.Split(columns[1], "`") {
				known[name] = known[name] || i%2 == 1
			}
		}
	}
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "listening on ") {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		for name := range fields {
			if strings.HasPrefix(name, "config.") {
				name = "config.*"
			}
			if !known[name] {
				t.Errorf("field %q is in no table: %s", name, line)
			}
		}
		if !known[fmt.Sprint(fields["message"])] {
			t.Errorf("message %q is in no table", fields["message"])
		}
	}
}

// user does what clients do, with a canary in each place.
type user struct {
	t     *testing.T
	s     *harness.Server
	c     *canaries
	token string
}

// do sends a request with the token, and a canary in other headers that tell of people.
func (u *user) do(method, path, body string) string {
	u.t.Helper()
	req, err := http.NewRequestWithContext(u.t.Context(), method, u.s.URL+path, strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+u.token)
	req.Header.Set("Cookie", "session="+u.c.plant("Cookie"))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(answer)
}

func (u *user) must(method, path string, body map[string]any) map[string]any {
	u.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		u.t.Fatal(err)
	}
	answer := map[string]any{}
	text := u.do(method, path, string(data))
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer["error"] != nil {
		u.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return answer
}

// connect opens streams in every way that takes a token, a right one and a wrong one.
func (u *user) connect() {
	u.t.Helper()
	at := strings.TrimPrefix(u.s.URL, "http://")
	for _, query := range []string{"token=" + u.token, "types=job&token=" + u.token + "&last_event_id=" + u.c.plant("LastEventID"), "token=" + u.c.plant("WrongToken")} {
		conn, _, _, err := ws.Dial(u.t.Context(), "ws://"+at+"/api/v1/ws?"+query)
		if err == nil {
			for _, text := range []string{u.c.plant("Frame"), `{"type":"` + u.c.plant("Command") + `"}`, `{"type":"subscribe","last_event_id":"` + u.c.plant("Subscribe") + `"}`} {
				if err := wsutil.WriteClientText(conn, []byte(text)); err != nil {
					u.t.Fatal(err)
				}
			}
			if _, err := wsutil.ReadServerText(conn); err != nil {
				u.t.Fatal(err)
			}
			_ = conn.Close()
		}
		for _, path := range []string{"/api/v1/events?", "/api/v1/events/poll?wait=1&"} {
			ctx, cancel := context.WithCancel(u.t.Context())
			req, err := http.NewRequestWithContext(ctx, "GET", u.s.URL+path+query, nil)
			if err != nil {
				u.t.Fatal(err)
			}
			req.Header.Set("Last-Event-ID", u.c.plant("Header"))
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
			cancel()
		}
	}
}

// hook makes webhooks whose every part is a secret, to receivers that give it away.
func (u *user) hook() {
	u.t.Helper()
	echo := harness.NewReceiver(u.t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("X-Echo", fmt.Sprint(r.Header))
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprint(w, r.URL, r.Header)
	})
	garbage := newGarbage(u.t)
	for _, origin := range []string{echo.URL, garbage, "http://127.0.0.1:1", "http://no-such-host.invalid"} {
		hook := u.must("POST", "/api/v1/webhooks", map[string]any{
			"url": origin + "/" + u.c.plant("Path") + "?key=" + u.c.plant("Query"), "events": []string{"JobFailed"}, "max_retries": 1,
			"secret": u.c.plant("Secret") + "-0123456789", "description": u.c.plant("Description"),
			"headers": map[string]any{"Authorization": "Bearer " + u.c.plant("HookAuthorization"), "X-Key": u.c.plant("HookHeader")},
		})
		rotated := u.must("POST", "/api/v1/webhooks/"+hook["id"].(string)+"/rotate-secret", nil)
		u.c.planted = append(u.c.planted, rotated["secret"].(string))
		u.must("POST", "/api/v1/webhooks/"+hook["id"].(string)+"/test", nil)
	}
	userinfo := u.c.plant("Userinfo")
	for _, url := range []string{"http://me:" + userinfo + "@127.0.0.1/", "http://me:" + userinfo + "%zz@127.0.0.1/", "ftp://" + userinfo, "http://127.0.0.1/\n" + userinfo} {
		data, err := json.Marshal(map[string]any{"url": url})
		if err != nil {
			u.t.Fatal(err)
		}
		u.do("POST", "/api/v1/webhooks", string(data))
	}
}

// newGarbage starts a server that speaks no HTTP and says back what it was sent.
func newGarbage(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			_, _ = c.Write([]byte(strings.ReplaceAll(string(buf[:n]), "\r\n", " ") + "\r\n\r\n"))
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// writeNotes makes, changes and deletes notes, whose jobs run.
func (u *user) writeNotes() {
	u.t.Helper()
	private := func() map[string]any {
		return map[string]any{
			"title": u.c.plant("Title"), "content": "See [[" + u.c.plant("Link") + "]], " + u.c.plant("Content"), "tags": []string{u.c.plant("tag")},
		}
	}
	note := "/api/v1/notes/" + u.must("POST", "/api/v1/notes", private())["id"].(string)
	u.must("PATCH", note, private())
	u.do("GET", "/api/v1/notes?q="+u.c.plant("Search"), "")
	u.do("DELETE", note, "")
	u.must("POST", "/api/v1/note-events", map[string]any{
		"operation": "updated", "note_id": "0198f3a0-0000-7000-8000-000000000001", "title": u.c.plant("EventTitle"), "tags": []string{u.c.plant("eventtag")},
	})
}

// work reports what workers do, and fail to do.
func (u *user) work() {
	u.t.Helper()
	job := func(n int, more map[string]any) {
		more["job_id"] = fmt.Sprintf("0198f3a0-0000-7000-8000-%012d", n)
		u.must("POST", "/api/v1/worker-events", more)
	}
	long := strings.Repeat("what went wrong takes words to say; ", 8)
	for n := range 3 {
		job(n, map[string]any{"type": "JobStarted", "job_type": "Embedding"})
		job(n, map[string]any{"type": "JobProgress", "percent": 50, "message": u.c.plant("Message")})
		job(n, map[string]any{"type": "JobFailed", "error": []string{
			long + u.c.plant("LongError"),
			"cannot reach postgres://app:" + u.c.plant("DSN") + "@db/app",
			"401 for Authorization: Bearer " + u.c.plant("Bearer") + " at https://api.example/?key=" + u.c.plant("APIKey"),
		}[n]})
	}
}

// blunder sends what is wrong in many ways.
func (u *user) blunder() {
	u.t.Helper()
	for _, path := range []string{
		"/api/v1/notes/" + u.c.plant("ID"), "/" + u.c.plant("NoPath") + "?x=" + u.c.plant("NoPathQuery"), "/api/v1/jobs?status=" + u.c.plant("Status"),
		"/api/v1/events?types=" + u.c.plant("Types"), "/api/v1/events/poll?after=" + u.c.plant("After"), "/api/v1/queue?token=" + u.c.plant("OtherToken"),
	} {
		u.do("GET", path, "")
	}
	for _, body := range []string{
		`{"title":` + u.c.plant("BadJSON"), `{"title":1,"` + u.c.plant("Field") + `":2}`, "\xff" + u.c.plant("BadText"), strings.Repeat("x", 2<<20) + u.c.plant("TooLong"),
	} {
		u.do("POST", "/api/v1/notes", body)
		u.do("POST", "/api/v1/worker-events", body)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(u.s.URL, "http://"))
	if err != nil {
		u.t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "GET /%s HTTP/9.9\r\nAuthorization: %s\r\n\x00\r\n\r\n", u.c.plant("BadRequest"), u.c.plant("BadHeader"))
	_, _ = io.Copy(io.Discard, conn)
}

// signs are what the log must have, so that a log that is empty does not pass for one without secrets.
func (u *user) signs(flags string) []string {
	switch {
	case strings.Contains(flags, "console"):
		return []string{"event.type=JobFailed", "event.type=JobProgress", "webhook attempt", "connection closed"}
	case strings.Contains(flags, "error"):
		return nil
	case strings.Contains(flags, "warn"):
		return []string{`"event.type":"JobFailed"`, "what went wrong takes words", `"message":"delivery given up"`}
	case strings.Contains(flags, "info"):
		return []string{`"message":"starting"`, `"event.type":"NoteUpdated"`, `"event.type":"JobStarted"`, `"message":"connection opened"`, `"user":"ada"`}
	}
	return []string{`"event.type":"JobProgress"`, `"event.type":"QueueStatus"`, `"error_class":"connect"`, `"error_class":"bad_response"`, `"message":"connection closed"`}
}

// What an error says of a database that cannot be opened holds no password.
func TestDatabaseURLIsNotToldWithItsPassword(t *testing.T) {
	c := &canaries{}
	password := c.plant("Password")
	for _, url := range []string{
		"postgres://me:" + password + "@127.0.0.1:1/db", "postgres://me:" + password + "%zz@127.0.0.1:1/db",
		"postgres://127.0.0.1:1/db?user=me&password=" + password, "postgres://me:" + password + "@127.0.0.1:port/db", "nosql://me:" + password + "@h/db",
	} {
		for _, command := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--log-level", "trace"}, {"config"}, {"migrate", "status"}} {
			stdout, stderr, _ := harness.Run(t, append(command, "--database-url", url)...)
			c.leaks(t, fmt.Sprint("the output of ", command), stdout+stderr)
		}
	}
}
