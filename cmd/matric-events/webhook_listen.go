package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
)

// WebhookListenCmd is a receiver to try webhooks with.
type WebhookListenCmd struct {
	HubFlags
	Listen   string   `default:"127.0.0.1:0" help:"Address to receive on; port 0 picks a free one."`
	Secret   string   `env:"MATRIC_WEBHOOK_SECRET" help:"Secret to check signatures with; made up when --register is given without one."`
	Register bool     `help:"Create a webhook for this receiver at --url, and delete it at the end."`
	Events   []string `placeholder:"TYPE" help:"Event types to register for; all but QueueStatus without."`
	Status   int      `default:"200" help:"Status to answer with, to see what the hub makes of it."`
	JSONL    bool     `name:"jsonl" help:"Print the bodies as they came, one per line."`
}

// Help implements kong.HelpProvider.
func (*WebhookListenCmd) Help() string {
	return `The quickest way to see webhooks work: run the hub with --webhook-allow-http --webhook-allow-cidr 127.0.0.0/8, and this with
--register. Deliveries whose signature is not good are answered 401.`
}

// Run implements the command: it receives until ctx ends.
func (c *WebhookListenCmd) Run(ctx context.Context, con console) error {
	if c.Status < 200 || c.Status > 599 {
		return domain.Invalid("--status", "must be from 200 to 599")
	}
	if _, err := c.connect(io.Discard, func() {}); c.Register && err != nil { // which checks both
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away shows as an error of Write, and the webhook is deleted
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	target := "http://" + listener.Addr().String() + "/"
	if c.Register {
		remove, err := c.register(ctx, target, con.err)
		if err != nil {
			return err
		}
		defer remove()
	}
	r := &receiver{out: con.out, end: end, status: c.Status, raw: c.JSONL}
	if c.Secret != "" {
		secret, err := signing.ParseSecret(c.Secret)
		if err != nil {
			return fmt.Errorf("--secret: %w", err)
		}
		r.verifier = &signing.Verifier{Secrets: []signing.Secret{secret}}
	}
	server := &http.Server{Handler: r, ReadTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(con.err, "receiving on %s\n", target)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, syscall.EPIPE) { // whose reader has seen enough
		return err
	}
	return nil
}

// register creates a webhook at the hub, and returns what deletes it. The secret that the hub makes up becomes ours.
func (c *WebhookListenCmd) register(ctx context.Context, target string, log io.Writer) (remove func(), err error) {
	order := map[string]any{"url": target, "events": append([]string{}, c.Events...), "description": "matric-events webhook listen"}
	if c.Secret != "" {
		order["secret"] = c.Secret
	}
	var made struct{ ID, Secret string }
	if err := c.call(ctx, http.MethodPost, "/api/v1/webhooks", order, &made); err != nil {
		return nil, fmt.Errorf("register at %s: %w", c.URL, err)
	}
	c.Secret = made.Secret
	fmt.Fprintf(log, "registered webhook %s\n", made.ID)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := c.call(ctx, http.MethodDelete, "/api/v1/webhooks/"+made.ID, nil, nil); err != nil {
			fmt.Fprintf(log, "webhook %s is still registered: %v\n", made.ID, err)
		}
	}, nil
}

func (c *WebhookListenCmd) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		var problem struct{ Detail string }
		_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&problem) // the status says enough
		return fmt.Errorf("%s: %s", resp.Status, oneLine(problem.Detail, maxText))
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// receiver prints what is delivered to it.
type receiver struct {
	out      io.Writer
	end      context.CancelCauseFunc // for when out takes no more
	verifier *signing.Verifier       // nil to check nothing
	status   int
	raw      bool
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 1<<20))
	if err != nil {
		return // the sender has gone, or sends what no hub does
	}
	status, check := r.status, "not checked: no --secret"
	if r.verifier != nil {
		check = "good"
		if err := verdict(*r.verifier, req.Header.Get, body, time.Now()); err != nil {
			status, check = http.StatusUnauthorized, strings.ReplaceAll(err.Error(), "\n", "; ")
		}
	}
	w.WriteHeader(status)
	h := req.Header
	if r.raw {
		_, err = fmt.Fprintf(r.out, "%s\n", body)
	} else {
		_, err = fmt.Fprintf(r.out, "%s  %s  attempt %s  delivery %s  signature %s\n  %s\n", time.Now().Format(time.TimeOnly),
			oneLine(h.Get("X-Matric-Event"), maxText), oneLine(h.Get("X-Matric-Attempt"), maxText), oneLine(h.Get("X-Matric-Delivery"), maxText),
			check, oneLine(string(body), len(body)))
	}
	if err != nil {
		r.end(fmt.Errorf("write: %w", err))
	}
}
