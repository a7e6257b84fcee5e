package transport

import "context"

type statusKey struct{}

// WithStatus returns a context for the Send of one frame, the reply to a request that was refused before any handler
// saw it. status is the HTTP status of the refusal: 401, 403, 429 or 503. A transport whose replies have a status
// takes it from there (Status); all others ignore it. A Conn that wraps another passes the context on.
//
// The manager writes to a conn with a fast path (Stream.Fast) without such a context.
func WithStatus(ctx context.Context, status int) context.Context {
	return context.WithValue(ctx, statusKey{}, status)
}

// Status returns the HTTP status that WithStatus has put into ctx; 0: none.
func Status(ctx context.Context) int {
	status, _ := ctx.Value(statusKey{}).(int)
	return status
}
