package transport

// A CloseCode is the kind of reason for which a conn is closed.
type CloseCode uint8

// The codes.
const (
	NormalClosure   CloseCode = iota // the last reply was sent, and nothing was wrong
	GoingAway                        // the daemon shuts down, or the listener was closed
	PolicyViolation                  // a limit, a revoked credential or an administrator ends the conn
)

// A CloseReason says why a conn is closed. The peer reads the text, which should have at most 123 bytes (RFC 6455,
// section 5.5); a transport cuts off a longer one.
type CloseReason struct {
	Code CloseCode
	Text string
}

// A ReasonCloser is a Conn whose wire can carry a reason to the peer, as the close frame of a WebSocket does.
type ReasonCloser interface {
	// CloseWithReason does what Close does, and tells the peer the reason. The reason is ignored when the conn has been
	// closed before, and when the transport itself has found an error that it tells the peer.
	CloseWithReason(reason CloseReason) error
}

// CloseWithReason closes a conn and tells the peer the reason, if the conn is a ReasonCloser. It only calls Close for all
// other conns, such as one that wraps another and has no such method. It may be called at any time, as Close may, and
// blocks and fails as Close does.
func CloseWithReason(conn Conn, reason CloseReason) error {
	if c, ok := conn.(ReasonCloser); ok {
		return c.CloseWithReason(reason)
	}
	return conn.Close()
}
