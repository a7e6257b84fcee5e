package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// A Claim is what a client says of itself while a conn is being opened, for an Authenticator to
// verify: a user with a password, or a token. It holds a secret, which is never printed.
type Claim struct {
	User     string // with Password; empty for a token
	Password string
	Token    string
	From     net.Addr // where it comes from, so that guessing can be slowed down
}

// String names the claim without its secret.
func (c Claim) String() string {
	switch {
	case c.Token != "":
		return "a token"
	case c.User != "":
		return fmt.Sprintf("the user %q", c.User)
	}
	return "nobody"
}

// GoString is String, so that %#v tells no secret either.
func (c Claim) GoString() string { return c.String() }

// LogValue is String, for the same reason.
func (c Claim) LogValue() slog.Value { return slog.StringValue(c.String()) }

// An Authenticator verifies claims. It owns the cost of that and the slowing down of those who guess;
// the transport owns asking, and forgetting what it was told. It is asked by many at once.
type Authenticator interface {
	// Authenticate returns what is proven when the claim is true: at least one credential. The error
	// is ErrWrongCredentials for unknown and wrong alike, *SlowDownError where guessing is slowed
	// down, and the cause of ctx; any other error refuses too, and is for the log only.
	Authenticate(ctx context.Context, claim Claim) ([]Credential, error)
}

// ErrWrongCredentials refuses a claim. It does not say what is wrong with it.
var ErrWrongCredentials = errors.New("unknown or wrong credentials")

// ErrNoCredentials refuses a client that has proven nothing and claims nothing.
var ErrNoCredentials = errors.New("no credentials")

// SlowDownError refuses a claim, right or wrong, since too many from the same place were wrong, or are
// waiting.
type SlowDownError struct {
	After time.Duration // when another claim may be looked at
}

// Error says how long to wait.
func (e *SlowDownError) Error() string {
	return fmt.Sprintf("too many wrong credentials; try again in %s", max(e.After, time.Second).Round(time.Second))
}

// A Refusal is a handshake that did not become a conn: for the log, the audit, and counters.
type Refusal struct {
	Transport string   // the kind of transport, as in Peer
	Addr      net.Addr // where the client is
	Claim     Claim    // what it claimed, where it came that far
	Err       error    // why it was refused
	Malformed bool     // the client has proven its subjects, and what it sent is no command
}
