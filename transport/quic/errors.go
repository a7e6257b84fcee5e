package quic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	quicgo "github.com/quic-go/quic-go"
)

// A goneError says why a connection or stream has ended, with advice. It is not net.ErrClosed, as the errors of
// quic-go are, because net.ErrClosed means that this side has closed it.
type goneError struct {
	advice string
	err    error
}

func (e *goneError) Error() string {
	if e.advice == "" {
		return e.err.Error()
	}
	return fmt.Sprintf("%s (%v)", e.advice, e.err)
}

func (e *goneError) Is(target error) bool { return target != net.ErrClosed && errors.Is(e.err, target) }

// As finds the errors of quic-go, and the TLS alert that the peer has sent.
func (e *goneError) As(target any) bool {
	if alert, ok := target.(*tls.AlertError); ok {
		sent, ok := errors.AsType[*quicgo.TransportError](e.err)
		if ok = ok && sent.Remote && sent.ErrorCode.IsCryptoError(); ok {
			*alert = tls.AlertError(sent.ErrorCode - 0x100)
		}
		return ok
	}
	return errors.As(e.err, target)
}

// Timeout implements net.Error, for net.OpError.
func (e *goneError) Timeout() bool {
	timeout, ok := errors.AsType[net.Error](e.err)
	return ok && timeout.Timeout()
}

// explain adds advice to an error of quic-go.
func explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &goneError{advice(err), err}
}

func advice(err error) string {
	if errors.As(err, new(*quicgo.HandshakeTimeoutError)) {
		return noAnswer
	}
	if errors.As(err, new(*quicgo.IdleTimeoutError)) {
		return "the peer has sent nothing for too long; is it running, and does the network work?"
	}
	if errors.As(err, new(*quicgo.StatelessResetError)) {
		return "the daemon was restarted and does not know this connection; connect again"
	}
	if errors.As(err, new(*quicgo.VersionNegotiationError)) {
		return "the peer supports no version of QUIC that this side supports"
	}
	if e, ok := errors.AsType[*quicgo.StreamError](err); ok && e.Remote {
		if e.ErrorCode == streamRefused {
			return "the daemon accepts no conns any more; is it shutting down?"
		}
		return "the peer has left"
	}
	if e, ok := errors.AsType[*quicgo.ApplicationError](err); ok && e.Remote {
		return "the peer has closed the connection"
	}
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok {
		return transportAdvice(e)
	}
	return ""
}

const noAnswer = "no answer over UDP; is the daemon there, and does a firewall drop UDP?"

// The TLS alerts (RFC 8446, section 6) that have an advice of their own. QUIC carries them as
// 0x100 and the alert (RFC 9001, section 4.8).
const (
	alertBadCertificate      = 0x100 + 42
	alertUnsupported         = 0x100 + 43
	alertRevoked             = 0x100 + 44
	alertExpired             = 0x100 + 45
	alertUnknownCertificate  = 0x100 + 46
	alertUnknownCA           = 0x100 + 48
	alertAccessDenied        = 0x100 + 49
	alertCertificateRequired = 0x100 + 116
	alertNoProtocol          = 0x100 + 120
)

func transportAdvice(e *quicgo.TransportError) string {
	switch {
	case e.ErrorCode == quicgo.ConnectionRefused && e.Remote:
		return "the daemon accepts no more connections, from this address or at all; close some, or try again later"
	case e.ErrorCode == alertNoProtocol:
		return "the peer does not speak " + Protocol + "; is this a daemon's port?"
	case e.ErrorCode == alertCertificateRequired && e.Remote:
		return "the daemon requires a client certificate; give one with --pki or --cert"
	case e.Remote:
		switch e.ErrorCode {
		case alertBadCertificate, alertUnsupported, alertRevoked, alertExpired, alertUnknownCertificate,
			alertUnknownCA, alertAccessDenied:
			return "the daemon does not trust the client's certificate; give another with --pki or --cert"
		}
	}
	return ""
}
