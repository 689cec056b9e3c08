package domain

import (
	"strings"
	"testing"
)

const someTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParseTrace(t *testing.T) {
	for in, want := range map[string]string{
		someTrace:              someTrace,
		" " + someTrace + "\t": someTrace,
		strings.Replace(someTrace, "-01", "-00", 1): strings.Replace(someTrace, "-01", "-00", 1),
		"cc" + someTrace[2:]:                        someTrace, // of a later version
		"cc" + someTrace[2:] + "-what-follows":      someTrace,

		"": "", "00": "", someTrace[:54]: "", someTrace + "-": "", someTrace + "x": "", "cc" + someTrace[2:] + "x": "",
		"ff" + someTrace[2:]: "", "0g" + someTrace[2:]: "", strings.ToUpper(someTrace): "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": "",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": "",
		strings.Replace(someTrace, "-b7", "_b7", 1):               "",
		strings.Replace(someTrace, "-01", "-0x", 1):               "",
	} {
		got, ok := ParseTrace(in)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("ParseTrace(%q) = %s, %t; want %q", in, got, ok, want)
		}
	}
}

func TestTraceChild(t *testing.T) {
	parent, _ := ParseTrace(strings.Replace(someTrace, "-01", "-ff", 1))
	child := parent.Child([8]byte{7: 1})
	if got, want := child.String(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01"; got != want || child.TraceID() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%s, %s; want %s", got, child.TraceID(), want)
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add(someTrace)
	f.Add("cc" + someTrace[2:] + "-x")
	f.Fuzz(func(t *testing.T, in string) {
		if got, ok := ParseTrace(in); ok {
			if again, ok := ParseTrace(got.String()); !ok || again != got {
				t.Errorf("%q becomes %s, which becomes %s, %t", in, got, again, ok)
			}
		}
	})
}
