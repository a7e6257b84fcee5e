package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// A Claim is the identity that a client claims while a conn is opened: a user with a password, or a token. An
// Authenticator verifies it. Its String, GoString and LogValue do not print the secret.
type Claim struct {
	User     string // with Password; empty for a token
	Password string
	Token    string
	From     net.Addr // the address of the client, for the limit of wrong claims
}

// String describes the claim without its secret.
func (c Claim) String() string {
	switch {
	case c.Token != "":
		return "a token"
	case c.User != "":
		return fmt.Sprintf("the user %q", c.User)
	}
	return "no claim"
}

// GoString returns String, so that %#v prints no secret.
func (c Claim) GoString() string { return c.String() }

// LogValue returns String, so that a log has no secret.
func (c Claim) LogValue() slog.Value { return slog.StringValue(c.String()) }

// An Authenticator verifies claims and limits the rate of wrong ones. The transport asks the client for the claim, and
// keeps no secret after the answer. Several goroutines may call it at the same time.
type Authenticator interface {
	// Authenticate returns the credentials that a true claim proves, at least one. It blocks while it verifies. The error
	// is ErrWrongCredentials for an unknown user and for a wrong secret, *SlowDownError after too many wrong claims, and
	// the cause of ctx when ctx ends. Any other error refuses too, and only the log contains it.
	Authenticate(ctx context.Context, claim Claim) ([]Credential, error)
}

// ErrWrongCredentials refuses a claim. It does not tell which part is wrong.
var ErrWrongCredentials = errors.New("unknown or wrong credentials")

// ErrNoCredentials refuses a client without credentials and without a claim.
var ErrNoCredentials = errors.New("no credentials")

// SlowDownError refuses a claim, true or not, because too many claims from the same address were wrong, or wait.
type SlowDownError struct {
	After time.Duration // the time until the next claim can be verified
}

// Error implements error.
func (e *SlowDownError) Error() string {
	return fmt.Sprintf("too many wrong credentials; try again in %s", max(e.After, time.Second).Round(time.Second))
}

// A Refusal is a failed handshake, for logs, audit records and counters.
type Refusal struct {
	Transport string   // the kind of transport, as in Peer
	Addr      net.Addr // the address of the client
	Claim     Claim    // the claim, if the client has made one
	Err       error    // the reason
	Malformed bool     // the client has proven its subjects, and sent bytes that are no command
}
