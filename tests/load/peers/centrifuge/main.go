// Command centrifuge serves one channel with github.com/centrifugal/centrifuge, the library under Centrifugo, as its README
// sets it up: memory broker, default settings, JSON protocol. Clients are subscribed when they connect, over WebSocket at /ws
// or an event stream at /sse.
package main

import (
	"context"
	"net/http"

	"github.com/centrifugal/centrifuge"

	"github.com/matric/matric-events/tests/load/peers/internal/peer"
)

const channel = "events"

func main() {
	node, err := centrifuge.New(centrifuge.Config{})
	peer.Exit(err)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	peer.Exit(node.Run())
	http.Handle("GET /sse", centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{}))
	peer.Serve("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}), func(event []byte) error {
		_, err := node.Publish(channel, event)
		return err
	})
}
