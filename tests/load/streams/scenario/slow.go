//go:build linux

package scenario

import (
	"context"
	"time"

	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/swarm"
)

// Slow measures clients by themselves, and then with one beside them that subscribes and never reads.
func Slow(ctx context.Context, s Setup) (*report.Result, error) {
	g, err := open(ctx, s, "slow", false)
	if err != nil {
		return nil, err
	}
	defer g.close()
	g.result.Rate = rateName(s.Rate)
	g.crowd.Gather(gatherBytes)
	g.publish(ctx, s.Rate)
	g.Say("%d clients alone at %s events/s", s.Clients, g.result.Rate)
	if err := sleep(ctx, s.Warmup); err != nil {
		return nil, err
	}
	var slow report.Slow
	if slow.Without, err = g.measure(ctx, s.Duration); err != nil {
		return nil, err
	}

	deaf, err := swarm.Deafen(g.process.Addr, g.Target)
	if err != nil {
		return nil, err
	}
	defer deaf.Close()
	g.Say("the same with one that never reads")
	if err := fill(ctx, deaf); err != nil {
		return nil, err
	}
	if slow.With, err = g.measure(ctx, s.Duration); err != nil {
		return nil, err
	}
	g.settle()
	slow.HowEnded = deaf.End()
	g.result.Slow = &slow
	return g.result, nil
}

// fillPatience is how long the buffers between the server and a client that does not read may take to fill.
const fillPatience = 30 * time.Second

// fill waits until nothing more gets into the buffers of a deaf client.
func fill(ctx context.Context, deaf *swarm.Deaf) error {
	still := 0
	for held, deadline := -1, time.Now().Add(fillPatience); still < 5 && time.Now().Before(deadline); {
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		if now := deaf.Waiting(); now != held {
			held, still = now, 0
		} else {
			still++
		}
	}
	return nil
}
