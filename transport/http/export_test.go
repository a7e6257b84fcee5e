package http

import (
	"context"
	"net/http"

	"github.com/rudderpost/rudderpost/transport"
)

// Handler returns a listener whose requests come through another server.
func Handler(t *Transport) (transport.Listener, http.Handler) {
	l := newListener(context.Background(), t)
	return l, http.HandlerFunc(l.serve)
}
