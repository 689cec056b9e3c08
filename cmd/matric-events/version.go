package main

import (
	"cmp"
	"fmt"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set by release builds with -ldflags "-X main.version=…".
var version string

// VersionCmd prints what this is.
type VersionCmd struct{}

// Run implements the command.
func (VersionCmd) Run(io console) error {
	v, commit := buildVersion()
	fmt.Fprintf(io.out, "matric-events %s (%s, %s %s/%s)\n", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion returns the release and the commit as far as the build knows them.
func buildVersion() (release, commit string) {
	release, commit = version, "unknown commit"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(release, "dev"), commit
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value[:min(12, len(s.Value))]
		}
	}
	if m := info.Main.Version; release == "" && m != "" && m != "(devel)" {
		release = m
	}
	return cmp.Or(release, "dev"), commit
}

// redactURL hides the password of a URL, and its query, which may hold one, too. Of what is no URL but looks like one,
// only the scheme is fit to be seen; so it is where a @ comes late, behind a password whose slash should have been escaped.
func redactURL(s string) string {
	scheme, rest, isURL := strings.Cut(s, "://")
	if !isURL {
		return s
	}
	u, err := url.Parse(s)
	if end := strings.IndexAny(rest, "/?#"); err != nil || end >= 0 && strings.Contains(rest[end:], "@") {
		return scheme + "://…"
	}
	query := ""
	if u.RawQuery != "" {
		query = "?…"
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	return u.Redacted() + query
}
