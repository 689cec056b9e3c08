package publish

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience is how long a server may take to acknowledge an event.
const patience = 10 * time.Second

// client posts over one connection that it keeps. http.Client would cost several times as much, on processors that the
// server needs.
type client struct {
	server, path string
	conn         net.Conn
	in           *bufio.Reader
	out          []byte
}

func (c *client) post(body []byte) error {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.server, patience)
		if err != nil {
			return err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	c.out = fmt.Appendf(c.out[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		c.path, c.server, len(body), body)
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("publish: %s: %.200s", resp.Status, answer)
	}
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close() // what was sent has been acknowledged or counts as failed
		c.conn = nil
	}
}
