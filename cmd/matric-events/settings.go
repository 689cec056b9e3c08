package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/matric/matric-events/domain"
)

// Settings are everything that serve can be told. Each is a flag, the same name in capitals behind MATRIC_ as an
// environment variable, and a default.
type Settings struct {
	Listen        string `default:"127.0.0.1:8080" env:"MATRIC_LISTEN" help:"Address to serve on; port 0 picks a free one."`
	DatabaseURL   string `default:"sqlite:matric-events.db" env:"MATRIC_DATABASE_URL,DATABASE_URL" help:"sqlite:PATH or postgres://…"`
	SecretKeyFile string `env:"MATRIC_SECRET_KEY_FILE" placeholder:"FILE" help:"Key that webhook secrets are encrypted with; made beside the database at the first start."`
	Standby       bool   `env:"MATRIC_STANDBY" help:"Wait while another server has the database, and take over when it ends."`
	NoHost        bool   `env:"MATRIC_NO_HOST" help:"No notes and jobs of our own: a gateway in front of another application."`

	BusCapacity int      `default:"8192" env:"MATRIC_BUS_CAPACITY" help:"Events kept for replay."`
	BusBytes    ByteSize `default:"16MiB" env:"MATRIC_BUS_BYTES" help:"Bytes of JSON kept for replay."`

	MaxConnections         int `default:"50000" env:"MATRIC_MAX_CONNECTIONS" help:"Open connections; 0 = no limit."`
	MaxConnectionsPerIP    int `name:"max-connections-per-ip" default:"1024" env:"MATRIC_MAX_CONNECTIONS_PER_IP" help:"Open connections from one address; 0 = no limit."`
	MaxHandshakesPerSecond int `default:"1000" env:"MATRIC_MAX_HANDSHAKES_PER_SECOND" help:"New connections in a second; 0 = no limit."`

	Heartbeat    time.Duration `default:"30s" env:"MATRIC_HEARTBEAT" help:"Between WebSocket pings."`
	IdleTimeout  time.Duration `default:"90s" env:"MATRIC_IDLE_TIMEOUT" help:"A WebSocket peer that sends nothing for so long is closed."`
	WriteTimeout time.Duration `default:"10s" env:"MATRIC_WRITE_TIMEOUT" help:"A client that takes nothing for so long is closed."`
	SSEKeepalive time.Duration `name:"sse-keepalive" default:"15s" env:"MATRIC_SSE_KEEPALIVE" help:"Between comments on a quiet event stream."`
	Poller       string        `default:"auto" enum:"auto,off" env:"MATRIC_POLLER" help:"auto: idle connections cost no goroutine where the system has a poller for them (Linux); off: they do everywhere."`

	AllowedOrigins []string `env:"MATRIC_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Web pages that may connect besides those of the same host: scheme://host[:port], comma separated; * = any."`
	RequireAuth    bool     `env:"MATRIC_REQUIRE_AUTH" help:"Refuse requests without a token."`
	AuthTokensFile string   `env:"MATRIC_AUTH_TOKENS_FILE" placeholder:"FILE" help:"Accepted bearer tokens: one 'token name' per line."`

	WebhookAllowHTTP    bool          `name:"webhook-allow-http" env:"MATRIC_WEBHOOK_ALLOW_HTTP" help:"Let webhooks use plain http."`
	WebhookAllowCIDR    []string      `name:"webhook-allow-cidr" env:"MATRIC_WEBHOOK_ALLOW_CIDR" placeholder:"CIDR" help:"Address ranges that webhooks may reach although they are not public; repeatable, comma separated."`
	WebhookTimeout      time.Duration `default:"15s" env:"MATRIC_WEBHOOK_TIMEOUT" help:"One delivery attempt, from dial to last byte."`
	WebhookRetryInitial time.Duration `default:"5s" env:"MATRIC_WEBHOOK_RETRY_INITIAL" help:"Before the first retry; then times four each."`
	WebhookRetryMax     time.Duration `default:"8h" env:"MATRIC_WEBHOOK_RETRY_MAX" help:"Between retries at most."`
	WebhookMaxInFlight  int           `default:"512" env:"MATRIC_WEBHOOK_MAX_IN_FLIGHT" help:"Delivery attempts at once."`
	WebhookPerEndpoint  int           `default:"16" env:"MATRIC_WEBHOOK_PER_ENDPOINT" help:"Delivery attempts at once to one webhook."`

	QueueStatusInterval time.Duration `default:"1s" env:"MATRIC_QUEUE_STATUS_INTERVAL" help:"At most one QueueStatus in so long."`
	ShutdownTimeout     time.Duration `default:"30s" env:"MATRIC_SHUTDOWN_TIMEOUT" help:"For an orderly end after SIGTERM."`
	LogLevel            string        `default:"info" enum:"trace,debug,info,warn,error,fatal,panic,disabled" env:"MATRIC_LOG_LEVEL" help:"${enum}."`
	LogFormat           string        `default:"auto" enum:"auto,json,console" env:"MATRIC_LOG_FORMAT" help:"json, console, or auto: console on a terminal."`
	OTLPEndpoint        string        `name:"otlp-endpoint" env:"MATRIC_OTLP_ENDPOINT" placeholder:"URL" help:"Send spans of sampled traces to this OpenTelemetry collector, by OTLP over HTTP."`
	LogSample           int           `default:"1" env:"MATRIC_LOG_SAMPLE" help:"Of the events of each type, log one in so many; failures all."`
}

// maxBusCapacity bounds the memory that is taken at the start, whatever is in the log: some 100 bytes for each place.
const maxBusCapacity = 1 << 24

// AfterApply checks what belongs together; kong calls it once everything is read. Errors name the flag.
func (s *Settings) AfterApply() error {
	for _, d := range []struct {
		flag string
		v    time.Duration
	}{
		{"heartbeat", s.Heartbeat},
		{"idle-timeout", s.IdleTimeout},
		{"write-timeout", s.WriteTimeout},
		{"sse-keepalive", s.SSEKeepalive},
		{"queue-status-interval", s.QueueStatusInterval},
		{"shutdown-timeout", s.ShutdownTimeout},
		{"webhook-timeout", s.WebhookTimeout},
		{"webhook-retry-initial", s.WebhookRetryInitial},
		{"webhook-retry-max", s.WebhookRetryMax},
	} {
		if d.v <= 0 {
			return fmt.Errorf("--%s: must be longer than nothing", d.flag)
		}
	}
	for _, n := range []struct {
		flag     string
		v, least int
	}{
		{"bus-capacity", s.BusCapacity, 1},
		{"bus-bytes", int(s.BusBytes), 1},
		{"max-connections", s.MaxConnections, 0},
		{"max-connections-per-ip", s.MaxConnectionsPerIP, 0},
		{"max-handshakes-per-second", s.MaxHandshakesPerSecond, 0},
		{"webhook-max-in-flight", s.WebhookMaxInFlight, 1},
		{"webhook-per-endpoint", s.WebhookPerEndpoint, 1},
		{"log-sample", s.LogSample, 1},
	} {
		if n.v < n.least {
			return fmt.Errorf("--%s: must be at least %d", n.flag, n.least)
		}
	}
	if s.BusCapacity > maxBusCapacity {
		return fmt.Errorf("--bus-capacity: must be at most %d", maxBusCapacity)
	}
	if s.RequireAuth && s.AuthTokensFile == "" {
		return domain.Invalid("--require-auth", "needs --auth-tokens-file, or nobody could connect")
	}
	return nil
}

// ByteSize is a number of bytes that reads 16MiB, 64KiB, 1GiB, or plain digits.
type ByteSize int64

var byteUnits = []struct {
	suffix string
	factor ByteSize
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *ByteSize) UnmarshalText(text []byte) error {
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > int64(1<<62)/int64(u.factor) {
			break
		}
		*b = ByteSize(n) * u.factor
		return nil
	}
	return fmt.Errorf("%q is no size; want bytes, or a number with KiB, MiB or GiB", text)
}

// String returns the largest unit that divides the size.
func (b ByteSize) String() string {
	for i := 2; i >= 0; i-- {
		if u := byteUnits[i]; b > 0 && b%u.factor == 0 {
			return strconv.FormatInt(int64(b/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
