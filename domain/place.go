package domain

// Standing says whether a reader can go on from where it was without a gap.
type Standing uint8

// The standings. Their names are the reasons of a ResyncRequired notice.
const (
	StandingKept    Standing = iota // everything after the place is still kept
	StandingExpired                 // the place is known, but events after it are gone
	StandingUnknown                 // no such event in the memory of this process
)

// String returns the name on the wire.
func (s Standing) String() string {
	switch s {
	case StandingKept:
		return "kept"
	case StandingExpired:
		return "expired"
	default:
		return "unknown"
	}
}

// Place is where in the log the last event that a reader has seen stands.
type Place struct {
	Seq      Seq // meaningful unless the standing is unknown
	Standing Standing
	Oldest   UUID // the oldest kept event; zero when none is kept
}
