package webhook

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
	"github.com/matric/matric-events/domain/signing"
)

// MaxDescription bounds a description, in characters.
const MaxDescription = 500

// Create asks for a webhook. It comes from DecodeCreate, which has checked all of it.
type Create struct {
	config Config
	secret signing.Secret // zero when one is to be made
	active bool
}

// DecodeCreate reads and checks what a client sends to create a webhook. Errors are FieldErrors.
func DecodeCreate(data []byte, rules Rules) (Create, error) {
	var in wireWebhook
	if err := domain.DecodeStrict(data, &in); err != nil {
		return Create{}, err
	}
	if in.URL == nil {
		return Create{}, domain.Invalid("url", "is required")
	}
	p, err := in.check(rules)
	if err != nil {
		return Create{}, err
	}
	c := Create{active: in.IsActive == nil || *in.IsActive}
	if in.MaxRetries == nil {
		c.config.Retries = Retries{retry.DefaultRetries}
	}
	if in.Secret != nil {
		if c.secret, err = signing.ParseSecret(*in.Secret); err != nil {
			return Create{}, domain.Invalid("secret", "%s", strings.TrimPrefix(err.Error(), signing.ErrSecret.Error()+": "))
		}
	}
	c.config = p.applyTo(c.config)
	return c, nil
}

// Webhook returns the webhook asked for. The entropy, at least signing.MinEntropy bytes, becomes its secret unless the
// client has brought one.
func (c Create) Webhook(id domain.UUID, entropy []byte, now time.Time) (Webhook, error) {
	secret := c.secret
	if secret.IsZero() {
		var err error
		if secret, err = signing.NewSecret(entropy); err != nil {
			return Webhook{}, err
		}
	}
	keys, err := signing.NewKeys(secret)
	w := Webhook{ID: id, Config: c.config, Keys: keys, CreatedAt: now, UpdatedAt: now}
	if !c.active {
		w.Activation = Paused
	}
	return w, err
}

// Patch changes some members of a webhook. It comes from DecodePatch, which has checked all of it.
type Patch struct {
	url         *URL
	events      *domain.TypeSet
	retries     *Retries
	description *string
	headers     *Headers
	active      *bool
}

// DecodePatch reads and checks what a client sends to change a webhook. A member that is absent or null stays as it is;
// headers are replaced as a whole. The secret is changed by rotating it only. Errors are FieldErrors.
func DecodePatch(data []byte, rules Rules) (Patch, error) {
	var in wireWebhook
	if err := domain.DecodeStrict(data, &in); err != nil {
		return Patch{}, err
	}
	if in.Secret != nil {
		return Patch{}, domain.Invalid("secret", "cannot be changed here; use rotate-secret")
	}
	return in.check(rules)
}

// Apply returns the webhook with the patch applied. Enabling one that was disabled, for whatever reason, forgets its
// failures.
func (p Patch) Apply(w Webhook, now time.Time) Webhook {
	w.Config, w.UpdatedAt = p.applyTo(w.Config), now
	switch {
	case p.active == nil:
	case !*p.active && w.Activation == Active:
		w.Activation = Paused
	case *p.active && w.Activation != Active:
		w.Activation, w.Health.FailureCount = Active, 0
	}
	return w
}

func (p Patch) applyTo(c Config) Config {
	set(&c.URL, p.url)
	set(&c.Events, p.events)
	set(&c.Retries, p.retries)
	set(&c.Description, p.description)
	set(&c.Headers, p.headers)
	return c
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

type wireWebhook struct {
	URL         *string            `json:"url"`
	Secret      *string            `json:"secret"`
	Events      *[]string          `json:"events"`
	MaxRetries  *int               `json:"max_retries"`
	Description *string            `json:"description"`
	Headers     *map[string]string `json:"headers"`
	IsActive    *bool              `json:"is_active"`
}

func (in *wireWebhook) check(rules Rules) (p Patch, err error) {
	p.active, p.description = in.IsActive, in.Description
	if p.url, err = checked(in.URL, func(s string) (URL, error) { return ParseURL(s, rules) }); err != nil {
		return Patch{}, err
	}
	if p.events, err = checked(in.Events, func(names []string) (domain.TypeSet, error) {
		return domain.ParseTypes("events", names)
	}); err != nil {
		return Patch{}, err
	}
	if p.retries, err = checked(in.MaxRetries, NewRetries); err != nil {
		return Patch{}, err
	}
	if p.headers, err = checked(in.Headers, NewHeaders); err != nil {
		return Patch{}, err
	}
	if in.Description != nil {
		err = checkDescription(*in.Description)
	}
	return p, err
}

// checked passes an optional member through its check.
func checked[In, Out any](in *In, check func(In) (Out, error)) (*Out, error) {
	if in == nil {
		return nil, nil
	}
	out, err := check(*in)
	return &out, err
}

func checkDescription(s string) error {
	if strings.ContainsRune(s, 0) {
		return domain.Invalid("description", "must not contain the NUL character")
	}
	if utf8.RuneCountInString(s) > MaxDescription {
		return domain.Invalid("description", "must have at most %d characters", MaxDescription)
	}
	return nil
}
