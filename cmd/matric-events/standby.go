package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/adapters/telemetry"
)

// openStore opens the database. With --standby it waits for as long as another server has it, and answers on the listener
// meanwhile; afterwards the listener is as it was.
func (h *hub) openStore(ctx context.Context, io console) (err error) {
	o := &sqlstore.Options{SecretKeyFile: h.settings.SecretKeyFile}
	end := func() error { return nil }
	if h.settings.Standby {
		o.Standby = func(holder string) {
			end = h.standBy()
			fmt.Fprintf(io.err, "standing by on http://%s\n", h.listener.Addr())
			h.log.Info().Str("held_by", holder).Msg("another server has the database; standing by")
		}
	}
	h.store, err = sqlstore.Open(ctx, h.settings.DatabaseURL, o)
	return errors.Join(err, end())
}

// standBy answers that this server is not ready, until end is called.
func (h *hub) standBy() (end func() error) {
	server := &http.Server{Handler: httpapi.Standby(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: telemetry.StandardLog(h.log)}
	borrowed := borrowedListener{h.listener}
	var serving errgroup.Group
	serving.Go(func() error { return server.Serve(borrowed) })
	return func() error {
		err := server.Close() // connections end, so that clients ask the hub next
		if served := serving.Wait(); !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		if err = errors.Join(err, borrowed.giveBack()); err != nil {
			return fmt.Errorf("stand by: %w", err)
		}
		return nil
	}
}

// borrowedListener is a listener whose Close only ends Accept.
type borrowedListener struct{ net.Listener }

// Close implements net.Listener.
func (l borrowedListener) Close() error { return l.deadline(time.Unix(1, 0)) }

// giveBack lets the owner accept again.
func (l borrowedListener) giveBack() error { return l.deadline(time.Time{}) }

func (l borrowedListener) deadline(at time.Time) error {
	tcp, ok := l.Listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("on %T", l.Listener)
	}
	return tcp.SetDeadline(at)
}
