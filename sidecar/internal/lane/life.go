package lane

// begin notes that an answer is under way, unless the connection was closed.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.busy = true
	c.turn.Add(1)
	return true
}

// end notes that it is over, and says whether the connection is to be closed.
func (c *conn) end() (closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.turn.Add(1)
	return c.closing
}

// Close implements net.Conn. The server believes a connection idle while the
// lane answers on it; such an answer is finished first.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closing = true
	busy := c.busy
	c.mu.Unlock()
	if busy {
		return nil
	}
	return c.TCPConn.Close()
}

// finishing says whether an answer is under way on a connection that closes
// after it.
func (c *conn) finishing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	return c.busy
}

// breakOff closes the connection whatever goes on.
func (c *conn) breakOff() {
	c.x.context.cancel()
	c.TCPConn.Close()
}

// look finds out whether the client is still there whose answer was under way
// the last time, too. It is called from one goroutine only.
func (c *conn) look() {
	turn := c.turn.Load()
	if turn%2 == 1 && turn == c.seen && c.gone() {
		c.x.context.cancel()
	}
	c.seen = turn
}
