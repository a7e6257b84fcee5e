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

// Client has the certificate of a client and says which daemons it trusts. Its fields name PEM files, which are read
// at each call of Config. It keeps sessions, so that a later conn to the same daemon has a shorter handshake; use one
// Client for all conns. Its methods may be called from any goroutine; the fields must not change after the first
// call.
type Client struct {
	CA        string // the authorities of daemons; empty: those of the system
	Cert, Key string // the client's certificate chain and its key; empty: none
	CRL       string // the revocation lists of CA, one of each authority in it; empty: none

	// Pin is the fingerprint of the daemon's certificate, in the form that ParseFingerprint reads. If it is set, only
	// this certificate is trusted, and CA, CRL, the name and the dates are not checked. Empty: no pin.
	Pin string

	// ServerName is the name that the daemon's certificate must have. Empty: the host that is dialed.
	ServerName string

	once     sync.Once
	sessions tls.ClientSessionCache
	cache    chainCache // of daemons' certificates
}

// Config returns a configuration for conns to host, a name or an IP address without a port. protos are the protocols
// of the client (ALPN, RFC 7301). The configuration belongs to the caller. The caller must not change
// VerifyConnection: it verifies the daemon, also when a session is resumed. A handshake that fails there returns a
// *VerifyError. An error of Config names the file that cannot be used, and what to do.
func (c *Client) Config(host string, protos ...string) (*tls.Config, error) {
	name := c.ServerName
	if name == "" {
		name = host
	}
	name, _, _ = strings.Cut(strings.TrimSuffix(name, "."), "%") // a zone has a meaning on this machine only
	scope := scope{}
	scope.add([]byte(name), []byte(host), []byte(strings.Join(protos, ",")))
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         name,
		NextProtos:         protos,
		InsecureSkipVerify: true, // VerifyConnection verifies instead
	}
	if err := c.setClientCert(config, &scope); err != nil {
		return nil, err
	}
	check, err := c.newServerCheck(name, &scope)
	if err != nil {
		return nil, err
	}
	check.cache, check.scope = &c.cache, scope.String()
	config.VerifyConnection = check.verify
	c.once.Do(func() { c.sessions = tls.NewLRUClientSessionCache(0) })
	config.ClientSessionCache = sessions{c.sessions, check.scope}
	return config, nil
}

// setClientCert sets the client's certificate of a configuration.
func (c *Client) setClientCert(config *tls.Config, scope *scope) error {
	if c.Cert == "" && c.Key == "" {
		return nil
	}
	if c.Cert == "" || c.Key == "" {
		return errors.New("a client's certificate and its key go together: give both files, or none")
	}
	pair, err := files{ofClient: true}.loadPair(c.Cert, c.Key)
	if err != nil {
		return err
	}
	scope.add(pair.Certificate...)
	// config.Certificates is not used: crypto/tls would send none of them to a daemon with another client CA, and that
	// daemon could not report what is wrong.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return nil
}

// newServerCheck returns the check of the daemon's certificate that the fields ask for.
func (c *Client) newServerCheck(name string, scope *scope) (*serverCheck, error) {
	if c.Pin != "" {
		pin, err := ParseFingerprint(c.Pin)
		if err != nil {
			return nil, fmt.Errorf("pin: %w", err)
		}
		scope.add([]byte(pin))
		return &serverCheck{pin: pin}, nil
	}
	if name == "" {
		return nil, errors.New("the name of the daemon's certificate is not known: dial a name, or give the server name")
	}
	d := &serverCheck{name: name}
	if c.CA == "" {
		if c.CRL != "" {
			return nil, fmt.Errorf("%s: no CA is given whose CRL this could be: name its file too", c.CRL)
		}
		return d, nil
	}
	text, err := files{ofClient: true}.read(c.CA)
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
	if text, err = (files{ofClient: true}).read(c.CRL); err != nil {
		return nil, fmt.Errorf("CRL: %w", err)
	}
	scope.add(text)
	d.crl, err = parseCRL(c.CRL, text, authorities)
	return d, err
}

// A serverCheck verifies the certificate of a daemon.
type serverCheck struct {
	pin   Fingerprint    // if it is set, nothing else is checked
	name  string         // the host name or IP address that the certificate must have
	roots *x509.CertPool // nil: the system's
	crl   *revocations   // nil: nothing is revoked
	cache *chainCache
	scope string // the name of the roots in the cache
}

// verify implements tls.Config.VerifyConnection.
func (d *serverCheck) verify(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0] // a daemon always has one
	seen := FingerprintOf(leaf)
	if err := d.check(state.PeerCertificates, seen); err != nil {
		return &VerifyError{Fingerprint: seen, Names: hostNames(leaf), Err: err}
	}
	return nil
}

func (d *serverCheck) check(certs []*x509.Certificate, seen Fingerprint) error {
	if d.pin != "" {
		if seen != d.pin {
			return errors.New("it is not the pinned " + d.pin.Pin())
		}
		return nil
	}
	chains, err := d.cache.verify(d.scope, certs, d.roots, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	if err := certs[0].VerifyHostname(d.name); err != nil {
		return err
	}
	return d.crl.check(chains)
}

// A scope names a set of options, so that a session is resumed only with the options under which it began.
type scope struct{ text bytes.Buffer }

func (s *scope) add(parts ...[]byte) {
	for _, part := range parts {
		_ = binary.Write(&s.text, binary.BigEndian, int64(len(part)))
		s.text.Write(part)
	}
}

// String returns a short name of the scope.
func (s *scope) String() string {
	sum := sha256.Sum256(s.text.Bytes())
	return hex.EncodeToString(sum[:])
}

// sessions are the sessions of one scope.
type sessions struct {
	all   tls.ClientSessionCache
	scope string
}

// Get implements tls.ClientSessionCache.
func (s sessions) Get(key string) (*tls.ClientSessionState, bool) { return s.all.Get(s.scope + key) }

// Put implements tls.ClientSessionCache.
func (s sessions) Put(key string, session *tls.ClientSessionState) { s.all.Put(s.scope+key, session) }

// A VerifyError says why a client refuses a daemon's certificate, and what to do.
type VerifyError struct {
	Fingerprint Fingerprint // of the certificate
	Names       []string    // the host names and IP addresses in it
	Err         error       // such as x509.UnknownAuthorityError, x509.HostnameError, ErrRevoked
}

// Unwrap returns Err.
func (e *VerifyError) Unwrap() error { return e.Err }

// Error returns the reason, and what to do.
func (e *VerifyError) Error() string {
	var (
		unknown x509.UnknownAuthorityError
		wrong   x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	const text = "the daemon's certificate is not trusted: "
	pin := e.Fingerprint.Pin()
	switch {
	case errors.As(e.Err, &unknown):
		return text + "the authority that signed it is unknown: give its CA with --ca or --pki, or pin it, if this is its fingerprint: " + pin
	case errors.As(e.Err, &wrong):
		return fmt.Sprintf("%sit is for %s, not for %s: dial a name that it has, or have it issued for this one", text, e.names(), wrong.Host)
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("%s%v: have another issued, or set the clock of this machine", text, e.Err)
	case errors.Is(e.Err, ErrRevoked):
		return text + e.Err.Error() + ": have another issued, and ask why"
	}
	return fmt.Sprintf("%s%v; its fingerprint is %s", text, e.Err, pin)
}

// maxNamesInError is how many names an error lists.
const maxNamesInError = 8

// names returns the names for the error text.
func (e *VerifyError) names() string {
	switch n := len(e.Names); {
	case n == 0:
		return "no host"
	case n > maxNamesInError:
		return fmt.Sprintf("%s and %d more", strings.Join(e.Names[:maxNamesInError], ", "), n-maxNamesInError)
	}
	return strings.Join(e.Names, ", ")
}

// hostNames returns the host names and IP addresses of a certificate.
func hostNames(leaf *x509.Certificate) []string {
	var hosts []string
	for _, name := range leaf.DNSNames {
		if visible.MatchString(name) {
			hosts = append(hosts, name)
		}
	}
	for _, ip := range leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}
