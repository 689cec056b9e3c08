package sqlstore

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// A key file that is accepted holds 32 bytes, and written anew is the same key; one that is not is refused without a word of what
// is in it.
func FuzzReadKey(f *testing.F) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, keySize))
	for _, seed := range []string{good, good + "\n", "\ufeff" + good, " " + good + "\r\n", good[:20] + "\n" + good[20:], good[:43], good + good, strings.ReplaceAll(good, "+", "-"), "", "=", strings.Repeat("\n", 100), base64.StdEncoding.EncodeToString(make([]byte, 31))} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := readKey(path)
		if err != nil {
			if word := string(bytes.TrimSpace(text)); len(word) > 8 && strings.Contains(err.Error(), word) || key != [keySize]byte{} {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if err := writeKey(path, key); err != nil {
			t.Fatal(err)
		}
		if again, err := readKey(path); err != nil || again != key {
			t.Fatalf("%q is another key when written anew: %v", text, err)
		}
	})
}

// What is read back from a database that somebody has written to is what was sealed for the place, or an error.
func FuzzVault(f *testing.F) {
	v := newVault([keySize]byte{1})
	sealed := v.seal([]byte("secret"), "here")
	f.Add(sealed, "here")
	f.Add(sealed, "there")
	f.Add(sealed[:len(sealed)-1], "here")
	f.Add([]byte{}, "")
	f.Add([]byte{sealVersion}, "")
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "here")
	f.Fuzz(func(t *testing.T, stored []byte, place string) {
		text, err := v.open(stored, place)
		if mine := bytes.Equal(stored, sealed) && place == "here"; mine && err != nil || err == nil && (string(text) != "secret" || place != "here") {
			t.Fatalf("%x at %q opens as %q, %v", stored, place, text, err) // seeds are sealed anew in each process
		}
	})
}

// A database URL is refused without its password, or read by both the pools and the listener, who agree on where it leads.
func FuzzDatabaseURL(f *testing.F) {
	for _, seed := range [][2]string{
		{"localhost", "/matric"},
		{"localhost:5432", "/matric?sslmode=disable&search_path=other"},
		{"localhost:x", "/"},
		{"[::1]:1", "/?connect_timeout=5"},
		{"", "?host=/var/run&port=5433"},
		{"a,b:1,2", "/d?target_session_attrs=any"},
		{"h", "/d?connect_timeout=-1"},
		{"h", "/d?sslmode=nonsense"},
		{"h", "/%zz"},
		{"h", "/d?options=-c%20search_path%3Dx"},
		{"h:99999", "/d"},
		{"h", "/d?a=b;c=d"},
		{"h%20", "/d#frag"},
		{"h", "/d?user=other&dbname=e"},
		{"h", "/d?sslrootcert=/nowhere&sslmode=verify-full"},
		{"h", "/d?binary_parameters=yes&application_name=%00"},
		{"h", "/d?connect_timeout=99999999999"},
		{"h", "/d?search_path="},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, rest string) {
		const password = "hunter2hunter2"
		dsn := "postgres://ann:" + password + "@" + host + rest
		cfg, err := postgresConfig(dsn)
		if err != nil {
			if strings.Contains(err.Error(), password) {
				t.Fatalf("%s: %v", dsn, err)
			}
			return
		}
		if err := postgresPool(cfg, 1, nil).Close(); err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		heard, err := pq.NewConfig(listenURL(dsn, cfg))
		if err != nil || heard.Host != cfg.Host || heard.Port != cfg.Port || heard.Database != cfg.Database || heard.User != cfg.User || heard.Password != cfg.Password || heard.SSLMode != cfg.SSLMode {
			t.Fatalf("%s: the listener reads %+v, %v; want %+v", dsn, heard, err, cfg)
		}
		if u, err := url.Parse(dsn); err != nil || u.Query().Get("search_path") == "" && cfg.Runtime["search_path"] == "" && !strings.Contains(cfg.Options, "search_path") {
			t.Fatalf("%s: search_path %q, %v", dsn, cfg.Runtime["search_path"], err)
		}
	})
}

// Whatever another program writes to the outbox is a record of exactly one kind, or a bad one; a record keeps its identity when it
// is read again.
func FuzzOutboxRow(f *testing.F) {
	const id, at = `"event_id":"01930000-0000-7000-8000-000000000001"`, `"occurred_at":"2026-11-23T12:41:48.000Z"`
	for _, seed := range [][2]string{
		{KindWorker, `{"type":"JobStarted","job_id":"01930000-0000-7000-8000-000000000002",` + id + `,` + at + `}`},
		{KindWorker, `{"type":"JobStarted","job_id":"01930000-0000-7000-8000-000000000002"}`},
		{KindNote, `{"operation":"created","note_id":"01930000-0000-7000-8000-000000000002",` + id + `,` + at + `}`},
		{KindNote, `{` + id + `}`},
		{KindCanary, `{` + id + `}`},
		{KindCanary, `{}`},
		{KindCanary, `{"event_id":7}`},
		{KindCanary, `{"event_id":"00000000-0000-0000-0000-000000000000"}`},
		{"", ""},
		{"Worker", "{}"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		read := func(kind, body string) ports.OutboxRecord {
			return (&outboxRow{Position: 7, Kind: kind, Body: body, WrittenAt: time.Date(2026, 11, 23, 12, 41, 48, 123456000, time.UTC)}).record()
		}
		r := read(kind, body)
		kinds := 0
		var again ports.OutboxRecord
		switch {
		case r.Worker != nil:
			kinds++
			raw, _ := r.Worker.MarshalJSON()
			again = read(KindWorker, string(raw))
			if again.Worker == nil || again.Worker.EventID != r.Worker.EventID || !again.Worker.OccurredAt.Equal(r.Worker.OccurredAt.Truncate(1e6)) || r.Worker.EventID.IsZero() || r.Worker.OccurredAt.IsZero() {
				t.Fatalf("%s %s is %+v, and then %+v", kind, body, r.Worker, again)
			}
		case r.Note != nil:
			kinds++
			raw, _ := r.Note.MarshalJSON()
			again = read(KindNote, string(raw))
			if again.Note == nil || again.Note.EventID != r.Note.EventID || !again.Note.OccurredAt.Equal(r.Note.OccurredAt.Truncate(1e6)) || r.Note.EventID.IsZero() || r.Note.OccurredAt.IsZero() {
				t.Fatalf("%s %s is %+v, and then %+v", kind, body, r.Note, again)
			}
		}
		if r.Canary != (domain.UUID{}) {
			kinds++
		}
		if r.Bad != nil {
			kinds++
		}
		if kinds != 1 || r.Position != 7 {
			t.Fatalf("%s %s is %+v", kind, body, r)
		}
	})
}
