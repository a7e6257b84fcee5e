package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"

	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	quicgo "github.com/quic-go/quic-go"
)

// What is spoken, for TLS (ALPN). QUIC's is the same.
const (
	lineProtocol = tcp.Protocol
	webProtocol  = "http/1.1"
)

// pki is where the certificates of a run are.
func (s *site) pki() string { return filepath.Join(s.Shared, "pki") }

// tlsFor makes a floor's TLS, which is ours: the same versions, curves and certificates on both sides.
func tlsFor(protocol string) func(*site) (*tls.Config, error) {
	return func(s *site) (*tls.Config, error) {
		server, err := tlsconf.Auto(s.pki(), nil)
		if err != nil {
			return nil, err
		}
		return server.Config(tls.RequireAndVerifyClientCert, protocol)
	}
}

// clientTLS is that of a client. The one that resumes sessions has them for all its conns.
func clientTLS(s *site, protocol string) (*tls.Config, error) {
	key := s.pki() + " " + protocol
	if config := clientConfigs[key]; config != nil {
		return config, nil
	}
	config, err := tlsconf.ClientFrom(s.pki(), "").Config("127.0.0.1", protocol)
	if err != nil {
		return nil, err
	}
	if !s.Resume {
		config.ClientSessionCache = nil
	}
	clientConfigs[key] = config
	return config, nil
}

// clientConfigs is filled by the first dial of a process, before there are others beside it.
var clientConfigs = map[string]*tls.Config{}

func dialPlain(_ *site, e endpoint) (stream, error) { return net.Dial(e.Network, e.Address) }

func dialTLS(protocol string) func(*site, endpoint) (stream, error) {
	return func(s *site, e endpoint) (stream, error) {
		config, err := clientTLS(s, protocol)
		if err != nil {
			return nil, err
		}
		c, err := net.Dial(e.Network, e.Address)
		if err != nil {
			return nil, err
		}
		return tls.Client(c, config), nil
	}
}

// dialQUIC makes a connection with one stream.
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

// quicStreams makes a connection on which each command has a stream of its own, which is what QUIC's streams are for.
func quicStreams(s *site, e endpoint) (session, error) {
	c, err := connectQUIC(s, e)
	if err != nil {
		return session{}, err
	}
	command := jsonCommand(0)
	return session{close: func() { _ = c.CloseWithError(0, "") }, trip: func() error {
		one, err := c.OpenStreamSync(context.Background())
		if err != nil {
			return err
		}
		if _, err := one.Write(command); err != nil {
			return err
		}
		_ = one.Close()
		n, err := io.Copy(io.Discard, one)
		if err == nil && n < int64(max(len(`{"result":0,"arguments":{"value":"abcdef"}}`), s.Reply)) {
			err = errors.New("the reply is too short")
		}
		return err
	}}, nil
}

func connectQUIC(s *site, e endpoint) (*quicgo.Conn, error) {
	config, err := clientTLS(s, quic.Protocol)
	if err != nil {
		return nil, err
	}
	return quicgo.DialAddr(context.Background(), e.Address, config, nil)
}
