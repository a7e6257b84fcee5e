package main

import (
	"context"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// A gate is the Authenticator of all listeners: the files behind it may change while they are open.
type gate struct {
	atomic.Pointer[secrets.Authenticator]
}

// Authenticate implements transport.Authenticator.
func (g *gate) Authenticate(ctx context.Context, claim transport.Claim) ([]transport.Credential, error) {
	if auth := g.Load(); auth != nil {
		return auth.Authenticate(ctx, claim)
	}
	return nil, transport.ErrWrongCredentials
}

// A recorder is the manager's Recorder. The record behind it may begin while the daemon runs.
type recorder struct {
	atomic.Pointer[audit.Log]
}

// Begin implements mgr.Recorder.
func (r *recorder) Begin(calls []*mgr.Call) error {
	if log := r.Load(); log != nil {
		return log.Begin(calls)
	}
	return nil
}

// End implements mgr.Recorder.
func (r *recorder) End(ends []mgr.CallResult) {
	if log := r.Load(); log != nil {
		log.End(ends)
	}
}

// Refused records a handshake that did not become a conn.
func (r *recorder) Refused(refusal transport.Refusal) {
	if log := r.Load(); log != nil {
		log.Refused(refusal)
	}
}

// commands returns audit-tail, which says so where nothing is recorded.
func (r *recorder) commands() []mgr.Command {
	return audit.Commands(r.Load)
}
