package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/matric/matric-events/domain/signing"
)

// WebhookCmd is for people who write receivers.
type WebhookCmd struct {
	Listen WebhookListenCmd `cmd:"" help:"Receive deliveries here, check their signatures and print them."`
	Verify WebhookVerifyCmd `cmd:"" help:"Check the signature of a body from standard input."`
}

// WebhookVerifyCmd checks one body.
type WebhookVerifyCmd struct {
	Secret    string `required:"" env:"MATRIC_WEBHOOK_SECRET" help:"The webhook's secret, whsec_… or your own."`
	Signature string `required:"" help:"Value of X-Matric-Signature (sha256=…), or of webhook-signature (v1,…)."`
	ID        string `name:"id" help:"Value of webhook-id; needed for v1 signatures."`
	Timestamp string `help:"Value of webhook-timestamp; needed for v1 signatures."`
	AnyTime   bool   `help:"Accept an old timestamp, as that of a recorded delivery."`
}

// Run implements the command.
func (c *WebhookVerifyCmd) Run(con console) error {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if err := c.check(body, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(con.out, "the signature is good")
	return nil
}

func (c *WebhookVerifyCmd) check(body []byte, now time.Time) error {
	secret, err := signing.ParseSecret(c.Secret)
	if err != nil {
		return fmt.Errorf("--secret: %w", err)
	}
	v := signing.Verifier{Secrets: []signing.Secret{secret}}
	if c.AnyTime {
		v.Tolerance = 100 * 365 * 24 * time.Hour
	}
	header := map[string]string{
		signing.HeaderID: c.ID, signing.HeaderTimestamp: c.Timestamp, signing.HeaderStandard: c.Signature, signing.HeaderBody: c.Signature,
	}
	get := func(name string) string { return header[name] }
	if c.ID == "" && c.Timestamp == "" {
		if strings.HasPrefix(c.Signature, "v1,") {
			return errors.New("--signature: a v1 signature needs --id and --timestamp")
		}
		return v.VerifyBody(get, body)
	}
	return v.Verify(get, body, now)
}

// verdict checks both families of signatures on a delivery.
func verdict(v signing.Verifier, get func(string) string, body []byte, now time.Time) error {
	return errors.Join(v.VerifyBody(get, body), v.Verify(get, body, now))
}
