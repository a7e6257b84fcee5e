package tlsconf

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Client says who a client is and which daemons it believes. Its fields name PEM files, which are
// read at every Config. It remembers the sessions of its conns, so that another to the same daemon
// begins faster; use one Client for all of them. It may be used by many at once.
type Client struct {
	CA        string // who vouches for daemons; empty: the system's authorities
	Cert, Key string // the client's certificate chain and its key; empty: it has none
	CRL       string // what CA has revoked, a list of every authority in it; empty: nothing is

	// Pin is the fingerprint of the daemon's certificate, as ParseFingerprint reads it. With it, CA, CRL,
	// the name and the dates do not count: this certificate is believed, and nothing else. Empty: no pin.
	Pin string

	// ServerName is the name that the daemon's certificate must have. Empty: the host dialed.
	ServerName string

	once     sync.Once
	sessions tls.ClientSessionCache
	known    memory // of daemons' certificates
}

// Config returns a configuration for conns to host, a name or an address without a port. protos are the
// names of what is spoken (ALPN). It belongs to the caller, who must leave VerifyConnection as it is: there
// the daemon is verified, on resumption too, and a handshake that fails for it returns a *VerifyError.
// The error names the file that cannot be used, and what to do.
func (c *Client) Config(host string, protos ...string) (*tls.Config, error) {
	name := c.ServerName
	if name == "" {
		name = host
	}
	name, _, _ = strings.Cut(strings.TrimSuffix(name, "."), "%") // the zone of an address is ours, not the daemon's
	scope := scope{}
	scope.add([]byte(name), []byte(host), []byte(strings.Join(protos, ",")))
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         name,
		NextProtos:         protos,
		InsecureSkipVerify: true, // VerifyConnection verifies, and explains
	}
	if err := c.identify(config, &scope); err != nil {
		return nil, err
	}
	daemon, err := c.believe(name, &scope)
	if err != nil {
		return nil, err
	}
	daemon.known, daemon.scope = &c.known, scope.String()
	config.VerifyConnection = daemon.verify
	c.once.Do(func() { c.sessions = tls.NewLRUClientSessionCache(0) })
	config.ClientSessionCache = sessions{c.sessions, daemon.scope}
	return config, nil
}

// identify gives a configuration the client's certificate.
func (c *Client) identify(config *tls.Config, scope *scope) error {
	if c.Cert == "" && c.Key == "" {
		return nil
	}
	if c.Cert == "" || c.Key == "" {
		return errors.New("a client's certificate and its key go together: give both files, or none")
	}
	pair, err := files{loose: true}.loadPair(c.Cert, c.Key)
	if err != nil {
		return err
	}
	scope.add(pair.Certificate...)
	// Not Certificates: from those crypto/tls silently gives none to a daemon of another CA, which then
	// cannot say what is wrong.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return nil
}

// believe returns what is demanded of a daemon.
func (c *Client) believe(name string, scope *scope) (*daemon, error) {
	if c.Pin != "" {
		pin, err := ParseFingerprint(c.Pin)
		if err != nil {
			return nil, fmt.Errorf("pin: %w", err)
		}
		scope.add([]byte(pin))
		return &daemon{pin: pin}, nil
	}
	if name == "" {
		return nil, errors.New("it is not known which name the daemon's certificate must have: dial a name, or give the server name")
	}
	d := &daemon{name: name}
	if c.CA == "" {
		if c.CRL != "" {
			return nil, fmt.Errorf("%s: no CA is given whose CRL this could be: name its file too", c.CRL)
		}
		return d, nil
	}
	text, err := files{loose: true}.read(c.CA)
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	authorities, err := parseCerts(c.CA, text)
	if err != nil {
		return nil, err
	}
	scope.add(text)
	d.roots = poolOf(authorities)
	if c.CRL == "" {
		return d, nil
	}
	if text, err = (files{loose: true}).read(c.CRL); err != nil {
		return nil, fmt.Errorf("CRL: %w", err)
	}
	scope.add(text)
	d.lists, err = parseCRL(c.CRL, text, authorities)
	return d, err
}

// A daemon is what is demanded of the other side.
type daemon struct {
	pin   Fingerprint    // with it nothing else is
	name  string         // which name or address the certificate must have
	roots *x509.CertPool // nil: the system's
	lists *revocations   // nil: nothing is revoked
	known *memory
	scope string // what the roots are called there
}

// verify implements tls.Config.VerifyConnection.
func (d *daemon) verify(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0] // a daemon always has one
	seen := FingerprintOf(leaf)
	if err := d.check(state.PeerCertificates, seen); err != nil {
		return &VerifyError{Fingerprint: seen, Names: hostsOf(leaf), Err: err}
	}
	return nil
}

func (d *daemon) check(certs []*x509.Certificate, seen Fingerprint) error {
	if d.pin != "" {
		if seen != d.pin {
			return errors.New("it is not the pinned " + d.pin.Pin())
		}
		return nil
	}
	chains, err := d.known.verify(d.scope, certs, d.roots, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	if err := certs[0].VerifyHostname(d.name); err != nil {
		return err
	}
	return d.lists.check(chains)
}

// A scope tells apart the sessions of daemons that must not be taken for each other, and those that began
// when something else was believed.
type scope struct{ text bytes.Buffer }

func (s *scope) add(parts ...[]byte) {
	for _, part := range parts {
		_ = binary.Write(&s.text, binary.BigEndian, int64(len(part)))
		s.text.Write(part)
	}
}

// String returns a short name for the scope.
func (s *scope) String() string {
	sum := sha256.Sum256(s.text.Bytes())
	return hex.EncodeToString(sum[:])
}

// sessions are those of a scope.
type sessions struct {
	all   tls.ClientSessionCache
	scope string
}

// Get implements tls.ClientSessionCache.
func (s sessions) Get(key string) (*tls.ClientSessionState, bool) { return s.all.Get(s.scope + key) }

// Put implements tls.ClientSessionCache.
func (s sessions) Put(key string, session *tls.ClientSessionState) { s.all.Put(s.scope+key, session) }
