package sqlstore

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
)

// webhookRow is a row of the table webhook.
type webhookRow struct {
	ID              string `db:"id"`
	URL             string `db:"url"`
	Events          string `db:"events"`
	MaxRetries      int    `db:"max_retries"`
	Description     string `db:"description"`
	Headers         []byte `db:"headers"`
	Keys            []byte `db:"keys"`
	Activation      string `db:"activation"`
	CreatedAt       int64  `db:"created_at"`
	UpdatedAt       int64  `db:"updated_at"`
	LastTriggeredAt int64  `db:"last_triggered_at"`
	FailureCount    int    `db:"failure_count"`
}

const selectWebhookRow = `SELECT id, url, events, max_retries, description, headers, keys, activation, created_at,
	updated_at, last_triggered_at, failure_count FROM webhook `

const upsertWebhookRow = `INSERT INTO webhook (id, url, events, max_retries, description, headers, keys, activation,
		created_at, updated_at, last_triggered_at, failure_count)
	VALUES (:id, :url, :events, :max_retries, :description, :headers, :keys, :activation,
		:created_at, :updated_at, :last_triggered_at, :failure_count)
	ON CONFLICT (id) DO UPDATE SET url = excluded.url, events = excluded.events, max_retries = excluded.max_retries,
		description = excluded.description, headers = excluded.headers, keys = excluded.keys,
		activation = excluded.activation, created_at = excluded.created_at, updated_at = excluded.updated_at,
		last_triggered_at = excluded.last_triggered_at, failure_count = excluded.failure_count`

// activations are what the column of that name holds.
var activations = map[webhook.Activation]string{webhook.Active: "active", webhook.Paused: "paused", webhook.Gone: "gone"}

// sealedKeys is what the column keys holds, sealed.
type sealedKeys struct {
	Current string          `json:"current"`
	Retired []sealedRetired `json:"retired,omitempty"`
}

type sealedRetired struct {
	Secret string `json:"secret"`
	Until  int64  `json:"until"` // microseconds
}

// Where things are sealed for.
func headersPlace(id string) string { return "webhook.headers " + id }
func keysPlace(id string) string    { return "webhook.keys " + id }

func (v *vault) rowOf(w *webhook.Webhook) (*webhookRow, error) {
	events, err := encodeList(w.Events.Names())
	if err != nil {
		return nil, err
	}
	headers, err := json.Marshal(maps.Collect(w.Headers.All()))
	if err != nil {
		return nil, err
	}
	keys := sealedKeys{Current: w.Keys.Current().Reveal()}
	for _, r := range w.Keys.Retired() {
		keys.Retired = append(keys.Retired, sealedRetired{r.Secret.Reveal(), r.Until.UnixMicro()})
	}
	secrets, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	id := w.ID.String()
	return &webhookRow{
		ID: id, URL: w.URL.Reveal(), Events: events, MaxRetries: w.Retries.Int(), Description: w.Description,
		Headers: v.seal(headers, headersPlace(id)), Keys: v.seal(secrets, keysPlace(id)),
		Activation: activations[w.Activation], CreatedAt: micros(w.CreatedAt), UpdatedAt: micros(w.UpdatedAt),
		LastTriggeredAt: micros(w.Health.LastTriggeredAt), FailureCount: w.Health.FailureCount,
	}, nil
}

// webhook is the inverse of rowOf.
func (v *vault) webhook(r *webhookRow) (w webhook.Webhook, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("row of webhook %q: %w", r.ID, err)
		}
	}()
	w = webhook.Webhook{
		CreatedAt: fromMicros(r.CreatedAt), UpdatedAt: fromMicros(r.UpdatedAt),
		Health: webhook.Health{LastTriggeredAt: fromMicros(r.LastTriggeredAt), FailureCount: r.FailureCount},
	}
	w.Description = r.Description
	for a, name := range activations {
		if name == r.Activation {
			w.Activation = a
		}
	}
	if w.ID, err = domain.ParseUUID(r.ID); err != nil {
		return w, err
	}
	// It was checked when it came; what the operator allows by now is checked when connecting.
	if w.URL, err = webhook.ParseURL(r.URL, webhook.Rules{AllowHTTP: true}); err != nil {
		return w, err
	}
	if w.Retries, err = webhook.NewRetries(r.MaxRetries); err != nil {
		return w, err
	}
	var names []string
	if err := json.Unmarshal([]byte(r.Events), &names); err != nil {
		return w, fmt.Errorf("events: %w", err)
	}
	if w.Events, err = domain.ParseTypes("events", names); err != nil {
		return w, err
	}
	if w.Headers, err = v.headers(r); err != nil {
		return w, fmt.Errorf("headers: %w", err)
	}
	if w.Keys, err = v.keys(r); err != nil {
		return w, fmt.Errorf("keys: %w", err)
	}
	return w, nil
}

func (v *vault) headers(r *webhookRow) (webhook.Headers, error) {
	text, err := v.open(r.Headers, headersPlace(r.ID))
	if err != nil {
		return webhook.Headers{}, err
	}
	var headers map[string]string
	if err := json.Unmarshal(text, &headers); err != nil {
		return webhook.Headers{}, err
	}
	return webhook.NewHeaders(headers)
}

func (v *vault) keys(r *webhookRow) (signing.Keys, error) {
	text, err := v.open(r.Keys, keysPlace(r.ID))
	if err != nil {
		return signing.Keys{}, err
	}
	var stored sealedKeys
	if err := json.Unmarshal(text, &stored); err != nil {
		return signing.Keys{}, err
	}
	current, err := signing.ParseSecret(stored.Current)
	if err != nil {
		return signing.Keys{}, err
	}
	retired := make([]signing.Retired, len(stored.Retired))
	for i, s := range stored.Retired {
		retired[i].Until = fromMicros(s.Until)
		if retired[i].Secret, err = signing.ParseSecret(s.Secret); err != nil {
			return signing.Keys{}, err
		}
	}
	return signing.NewKeys(current, retired...)
}

// stateRow is what deliveries change of a webhook.
type stateRow struct {
	ID              string
	LastTriggeredAt int64
	FailureCount    int64
	Gone            bool // the receiver has asked to be left alone
	UpdatedAt       int64
}

func stateRowOf(s *webhook.State) stateRow {
	return stateRow{
		ID: s.Webhook.String(), LastTriggeredAt: micros(s.Health.LastTriggeredAt),
		FailureCount: int64(s.Health.FailureCount), Gone: s.Activation == webhook.Gone, UpdatedAt: micros(s.UpdatedAt),
	}
}

// micros and fromMicros are how times are stored: as microseconds since 1970, the zero time as 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
