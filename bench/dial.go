package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	quicgo "github.com/quic-go/quic-go"
)

// The protocols of TLS (ALPN). That of QUIC is the same.
const (
	lineProtocol = tcp.Protocol
	webProtocol  = "http/1.1"
)

// pki returns the directory with the certificates of a run.
func (s *site) pki() string { return filepath.Join(s.Shared, "pki") }

// tlsFor returns the TLS configuration of a floor. It is that of rudderpost, with the same versions, curves and certificates.
func tlsFor(protocol string) func(*site) (*tls.Config, error) {
	return func(s *site) (*tls.Config, error) {
		server, err := tlsconf.Auto(s.pki(), nil)
		if err != nil {
			return nil, err
		}
		return server.Config(tls.RequireAndVerifyClientCert, protocol)
	}
}

// clientTLS returns the TLS configuration of a client. The first dial of a process makes it, before there are other goroutines.
func clientTLS(s *site, protocol string, resume bool) (*tls.Config, error) {
	if clientConfig != nil {
		return clientConfig, nil
	}
	config, err := tlsconf.ClientFrom(s.pki(), "").Config("127.0.0.1", protocol)
	if err == nil && !resume {
		config.ClientSessionCache = nil
	}
	clientConfig = config
	return config, err
}

var clientConfig *tls.Config

func dialPlain(_ *site, e endpoint) (stream, error) { return net.Dial(e.Network, e.Address) }

// dialTLS connects with a full handshake.
func dialTLS(protocol string) func(*site, endpoint) (stream, error) {
	return func(s *site, e endpoint) (stream, error) {
		config, err := clientTLS(s, protocol, false)
		if err != nil {
			return nil, err
		}
		return handshake(e, config)
	}
}

// dialResumed connects and resumes the session of the first connection. It fails if the session is not resumed.
func dialResumed(s *site, e endpoint) (stream, error) {
	first := clientConfig == nil
	config, err := clientTLS(s, lineProtocol, true)
	if err != nil {
		return nil, err
	}
	c, err := handshake(e, config)
	if err != nil {
		return nil, err
	}
	if !first && !c.ConnectionState().DidResume {
		return nil, errors.New("the session was not resumed")
	}
	return c, nil
}

// dialDefault connects with the default configuration of a TLS client and a CA.
func dialDefault(s *site, e endpoint) (stream, error) {
	if clientConfig == nil {
		pem, err := os.ReadFile(filepath.Join(s.pki(), tlsconf.CACert))
		if err != nil {
			return nil, err
		}
		clientConfig = &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}
		clientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	return handshake(e, clientConfig)
}

// tlsDefault returns the default configuration of a TLS server with a certificate.
func tlsDefault(s *site) (*tls.Config, error) {
	ours, err := tlsconf.Auto(s.pki(), nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(ours.Cert, ours.Key)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

func handshake(e endpoint, config *tls.Config) (*tls.Conn, error) {
	c, err := net.Dial(e.Network, e.Address)
	if err != nil {
		return nil, err
	}
	t := tls.Client(c, config)
	if err := t.Handshake(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// dialQUIC opens a connection with one stream.
func dialQUIC(s *site, e endpoint) (stream, error) {
	c, err := connectQUIC(s, e)
	if err != nil {
		return nil, err
	}
	one, err := c.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	return quicStream{one, c}, nil
}

type quicStream struct {
	*quicgo.Stream
	conn *quicgo.Conn
}

func (s quicStream) Close() error { return s.conn.CloseWithError(0, "") }

// quicStreams opens a connection on which each command has a stream of its own.
func quicStreams(s *site, e endpoint) (session, error) {
	c, err := connectQUIC(s, e)
	if err != nil {
		return session{}, err
	}
	return session{close: func() { _ = c.CloseWithError(0, "") }, trip: func(k *kind) error {
		one, err := c.OpenStreamSync(context.Background())
		if err != nil {
			return err
		}
		if _, err := one.Write(k.batch); err != nil {
			return err
		}
		_ = one.Close()
		head := make([]byte, 128)
		n, err := io.ReadFull(one, head)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		rest, err := io.Copy(io.Discard, one)
		if err == nil && (!bytes.Contains(head[:n], k.expect) || n+int(rest) < s.Reply) {
			err = fmt.Errorf("answers %d bytes, %q", n+int(rest), head[:n])
		}
		return err
	}}, nil
}

func connectQUIC(s *site, e endpoint) (*quicgo.Conn, error) {
	config, err := clientTLS(s, quic.Protocol, false)
	if err != nil {
		return nil, err
	}
	return quicgo.DialAddr(context.Background(), e.Address, config, nil)
}
