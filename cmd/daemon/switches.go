package main

import (
	"context"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// An authSwitch is the Authenticator of all listeners. A transaction can replace the Authenticator behind it.
type authSwitch struct {
	atomic.Pointer[secrets.Authenticator]
}

// Authenticate implements transport.Authenticator.
func (g *authSwitch) Authenticate(ctx context.Context, claim transport.Claim) ([]transport.Credential, error) {
	if auth := g.Load(); auth != nil {
		return auth.Authenticate(ctx, claim)
	}
	return nil, transport.ErrWrongCredentials
}

// An auditSwitch is the Recorder of the manager. The audit behind it can be opened while the daemon runs.
type auditSwitch struct {
	atomic.Pointer[audit.Log]
}

// Begin implements mgr.Recorder.
func (r *auditSwitch) Begin(calls []*mgr.Call) error {
	if log := r.Load(); log != nil {
		return log.Begin(calls)
	}
	return nil
}

// End implements mgr.Recorder.
func (r *auditSwitch) End(ends []mgr.CallResult) {
	if log := r.Load(); log != nil {
		log.End(ends)
	}
}

// Refused records a handshake that did not become a conn.
func (r *auditSwitch) Refused(refusal transport.Refusal) {
	if log := r.Load(); log != nil {
		log.Refused(refusal)
	}
}

// commands returns audit-tail, which returns an error while there is no audit.
func (r *auditSwitch) commands() []mgr.Command {
	return audit.Commands(r.Load)
}
