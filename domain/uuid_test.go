package domain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

func TestParseUUIDRefuses(t *testing.T) {
	const good = "019ab3f2-7c01-7d4e-8a5b-0123456789ab"
	for name, in := range map[string]string{
		"empty":           "",
		"nil UUID":        "00000000-0000-0000-0000-000000000000",
		"no hyphens":      strings.ReplaceAll(good, "-", ""),
		"braces":          "{" + good + "}",
		"URN":             "urn:uuid:" + good,
		"too short":       good[:35],
		"too long":        good + "0",
		"space around":    " " + good[:35],
		"letter past f":   "g" + good[1:],
		"hyphen shifted":  "019ab3f27-c01-7d4e-8a5b-0123456789ab",
		"no first hyphen": "019ab3f207c01-7d4e-8a5b-0123456789ab",
		"no second":       "019ab3f2-7c0107d4e-8a5b-0123456789ab",
		"no third":        "019ab3f2-7c01-7d4e08a5b-0123456789ab",
		"no fourth":       "019ab3f2-7c01-7d4e-8a5b00123456789ab",
		"multi-byte text": strings.Repeat("é", 18),
	} {
		if got, err := domain.ParseUUID(in); err == nil || !got.IsZero() {
			t.Errorf("%s: ParseUUID(%q) = %v, %v", name, in, got, err)
		}
	}
}

func TestUUIDSurvivesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := genUUID.Draw(t, "id")
		s := u.String()
		if s != strings.ToLower(s) || len(s) != 36 {
			t.Fatalf("String() = %q", s)
		}
		for _, form := range []string{s, strings.ToUpper(s)} {
			if got, err := domain.ParseUUID(form); err != nil || got != u {
				t.Fatalf("ParseUUID(%q) = %v, %v", form, got, err)
			}
		}
		if text, err := u.AppendText([]byte("id: ")); err != nil || string(text) != "id: "+s {
			t.Fatalf("AppendText = %q, %v", text, err)
		}
		data, err := json.Marshal(u)
		var back domain.UUID
		if err != nil || json.Unmarshal(data, &back) != nil || back != u {
			t.Fatalf("%s went through JSON as %s and came back as %s, %v", u, data, back, err)
		}
	})
}
