package main

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

const (
	sendBuffer   = 256
	writeTimeout = 10 * time.Second
	pongTimeout  = 60 * time.Second
	pingInterval = pongTimeout * 9 / 10
	maxMessage   = 512
)

var upgrader = websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}

// client is one connection, with a goroutine that reads and one that writes.
type client struct {
	hub  *hub
	conn *websocket.Conn
	send chan []byte
}

// ServeHTTP makes a client of a request.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &client{hub: h, conn: conn, send: make(chan []byte, sendBuffer)}
	h.join <- c
	go c.write()
	go c.read()
}

// read waits for the end of the connection; it sees Pongs and Close frames.
func (c *client) read() {
	defer func() {
		c.hub.leave <- c
		_ = c.conn.Close()
	}()
	c.conn.SetReadLimit(maxMessage)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongTimeout)) }
	c.conn.SetPongHandler(alive)
	for err := alive(""); err == nil; {
		_, _, err = c.conn.ReadMessage()
	}
}

func (c *client) write() {
	ping := time.NewTicker(pingInterval)
	defer func() {
		ping.Stop()
		_ = c.conn.Close()
	}()
	for {
		var err error
		select {
		case event, ok := <-c.send:
			if !ok {
				return
			}
			err = c.message(event)
		case <-ping.C:
			err = c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		}
		if err != nil {
			return
		}
	}
}

// message writes an event, and those that wait behind it in the same message, a line each.
func (c *client) message(event []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write(event); err != nil {
		return err
	}
	for range len(c.send) {
		if _, err := w.Write(append([]byte{'\n'}, <-c.send...)); err != nil {
			return err
		}
	}
	return w.Close()
}
