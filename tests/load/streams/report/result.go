// Package report holds what a run has found, merges several runs into one (medians; faults are added up), and renders results
// for people as a table and for programs as JSON. It measures nothing and keeps no state.
package report

// Result is what one run of a scenario has found about a server, or the merged findings of several. Numbers of type float64
// are measurements, of which Merge takes the median; those of type int64 count faults, which it adds up. A part that the
// scenario does not have is nil.
type Result struct {
	Server   string `json:"server"`
	Scenario string `json:"scenario"`
	Clients  int    `json:"clients"`
	Rate     string `json:"rate,omitempty"` // events per second, or max
	Runs     int    `json:"runs"`

	Open    *Open     `json:"open,omitempty"`
	Load    *Load     `json:"load,omitempty"`
	Idle    *Idle     `json:"idle,omitempty"`
	Slow    *Slow     `json:"slow,omitempty"`
	Resume  *Resume   `json:"resume,omitempty"`
	Faults  *Faults   `json:"faults,omitempty"`
	EachRun []*Result `json:"each_run,omitempty"`
}

// Open is what it took to open the connections, and what they cost while nothing happens.
type Open struct {
	PerSecond  float64          `json:"connections_per_s"`
	P50        float64          `json:"handshake_p50_ms"`
	P99        float64          `json:"handshake_p99_ms"`
	ServerCPU  float64          `json:"server_cpu_s_per_10000"`
	OtherCores float64          `json:"other_cores"`
	KiBEach    float64          `json:"kib_per_idle_connection"`
	Failed     map[string]int64 `json:"failed,omitempty"`
}

// Load is what was measured while events were published.
type Load struct {
	Seconds    float64 `json:"seconds"`
	Published  float64 `json:"published_per_s"`
	Deliveries float64 `json:"deliveries_per_s"`
	P50        float64 `json:"latency_p50_ms"`
	P99        float64 `json:"latency_p99_ms"`
	P999       float64 `json:"latency_p999_ms"`
	Max        float64 `json:"latency_max_ms"`

	ServerCPU   float64 `json:"server_cpu_s_per_million"`
	ClientCPU   float64 `json:"client_cpu_s_per_million"`
	ServerCores float64 `json:"server_cores"`
	ClientCores float64 `json:"client_cores"`
	OtherCores  float64 `json:"other_cores"`
	StolenCores float64 `json:"stolen_cores"`
	MemoryMiB   float64 `json:"server_memory_mib"`
}

// Idle is how connections fared on which nothing happened but heartbeats.
type Idle struct {
	Seconds     float64 `json:"seconds"`
	ServerCores float64 `json:"server_cores"`
	OtherCores  float64 `json:"other_cores"`
	KiBEach     float64 `json:"kib_per_connection_at_the_end"`
	Remain      float64 `json:"connections_that_remain"`
	Reached     float64 `json:"connections_that_got_the_last_event"`
}

// Slow compares clients without and with one beside them that never reads.
type Slow struct {
	Without  Load   `json:"without"`
	With     Load   `json:"with"`
	HowEnded string `json:"how_the_slow_one_ended"`
}

// Resume is a crowd that was dropped at once, and came back to where each had been.
type Resume struct {
	BackSeconds  float64 `json:"seconds_until_all_were_back"`
	LevelSeconds float64 `json:"seconds_until_all_had_everything"`
	Missed       float64 `json:"events_published_meanwhile"`
	ServerCPU    float64 `json:"server_cpu_s"`
	BeforeMiB    float64 `json:"server_memory_before_mib"`
	PeakMiB      float64 `json:"server_memory_peak_mib"`
	AfterMiB     float64 `json:"server_memory_after_mib"`
}

// Faults are what must be nought.
type Faults struct {
	Lost         int64            `json:"lost"`
	Duplicated   int64            `json:"duplicated"`
	Reordered    int64            `json:"reordered"`
	Disconnected map[string]int64 `json:"disconnected,omitempty"` // by reason
	Publish      map[string]int64 `json:"publish_failed,omitempty"`
	Stalls       int64            `json:"window_stalls"`
}
