package soak_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/matric/matric-events/domain"
)

// until looks again and again until f is satisfied; false when settleTime is over.
func until(f func() bool) bool {
	for over := time.Now().Add(settleTime); !f(); {
		if time.Now().After(over) {
			return false
		}
		time.Sleep(50 * time.Millisecond) // another process does not announce it
	}
	return true
}

// restQueue waits, without load, until the host has nothing left to do or to tell.
func (s *soak) restQueue() {
	var m map[string]float64
	if !until(func() bool {
		m = s.hub.metrics("matric_outbox_records", "matric_queue_jobs")
		return len(m) == 2 && m["matric_outbox_records"] == 0 && m["matric_queue_jobs"] == 0
	}) {
		s.ledger.breach(pJobs, "the queue does not come to rest: %v", m)
	}
}

// settle waits, without load, until everything that was promised has been taken by every webhook that wants it, or is a
// dead letter.
func (s *soak) settle() {
	relapse := make([]func(), len(s.hooks))
	for i, h := range s.hooks {
		relapse[i] = h.heal()
	}
	defer func() {
		for _, f := range relapse {
			f()
		}
	}()
	for _, h := range s.hooks {
		s.settleHook(h)
	}
}

func (s *soak) settleHook(h *hook) {
	var o owed
	until(func() bool {
		if o, _, _ = h.missing(s.books); o.empty() {
			return true
		}
		dead, ok := s.deadLetters(h)
		if !ok {
			return false
		}
		o.remove(dead)
		return o.empty()
	})
	if len(o.producers)+len(o.notes) > 0 {
		s.ledger.breach(pProducer, "%s: neither taken nor dead: %s", h.name, &o)
	}
	if len(o.host) > 0 {
		s.ledger.breach(pHost, "%s: neither taken nor dead: %s", h.name, &o)
	}
}

// remove takes out what is a dead letter.
func (o *owed) remove(dead map[domain.UUID]fact) {
	gone := func(id domain.UUID) bool { _, ok := dead[id]; return ok }
	o.producers = slices.DeleteFunc(o.producers, gone)
	o.host = slices.DeleteFunc(o.host, gone)
	notes := map[subject]bool{}
	for _, f := range dead {
		notes[subject{f.note, f.operation}] = true
	}
	o.notes = slices.DeleteFunc(o.notes, func(s subject) bool { return notes[s] })
}

// deadLetters lists the dead deliveries of a webhook, page by page.
func (s *soak) deadLetters(h *hook) (dead map[domain.UUID]fact, ok bool) {
	dead = map[domain.UUID]fact{}
	ok = s.pages("/api/v1/webhooks/"+h.id+"/deliveries?status=dead&limit=100", func(item json.RawMessage) bool {
		var d struct {
			EventID domain.UUID     `json:"event_id"`
			Status  string          `json:"status"`
			Payload json.RawMessage `json:"payload"`
		}
		if json.Unmarshal(item, &d) != nil || d.Status != "dead" {
			return false
		}
		id, f, err := parse(d.Payload)
		dead[id] = f
		return err == nil && id == d.EventID
	})
	return dead, ok
}

// pages goes through a list by its Link headers.
func (s *soak) pages(path string, each func(json.RawMessage) bool) bool {
	for path != "" {
		resp, err := (&http.Client{Transport: passing, Timeout: callTimeout}).Get(s.hub.url(false) + path)
		if err != nil {
			return false
		}
		var list []json.RawMessage
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return false
		}
		for _, item := range list {
			if !each(item) {
				return false
			}
		}
		path = ""
		if link, rest, found := strings.Cut(resp.Header.Get("Link"), ">"); found && strings.Contains(rest, `rel="next"`) {
			path = link[strings.Index(link, "/api/"):]
		}
	}
	return true
}

// redeliver has all dead letters sent again, and wants them to arrive.
func (s *soak) redeliver() {
	letters := 0
	for _, h := range s.hooks {
		dead, ok := s.deadLetters(h)
		if !ok {
			s.ledger.breach(pDead, "%s: dead letters cannot be listed", h.name)
		}
		letters += len(dead)
		h.dead += len(dead)
		if len(dead) == 0 {
			continue
		}
		status, answer := s.hub.call(&http.Client{Transport: passing}, http.MethodPost, "/api/v1/webhooks/"+h.id+"/redeliver", jsonType, `{"status":"dead"}`)
		if want := fmt.Sprintf(`{"redelivered":%d}`, len(dead)); status != http.StatusAccepted || strings.TrimSpace(string(answer)) != want {
			s.ledger.breach(pDead, "%s: redeliver = %d %s; want %s", h.name, status, answer, want)
		}
	}
	for _, h := range s.hooks {
		var o owed
		if !until(func() bool { o, _, _ = h.missing(s.books); return o.empty() }) {
			s.ledger.breach(pDead, "%s: sent again, and not taken: %s", h.name, &o)
		}
	}
	s.ledger.count(pDead, "%d", letters)
}
