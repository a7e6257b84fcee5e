package tlsconf

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A snapshot has the content of a Server's files at one time. Listeners make their TLS configurations from it. When
// the files change, a new snapshot replaces it, and sessions that began under the old one cannot be resumed. It does
// not change after it was loaded, but for stamps.
type snapshot struct {
	number int // higher for later snapshots
	sum    [sha256.Size]byte
	made   time.Time

	pair  tls.Certificate
	roots *x509.CertPool // nil: clients are not asked for a certificate
	crl   *revocations   // nil: nothing is revoked
	cache chainCache     // of clients' certificates

	stamps []stamp // of the files; guarded by Server.reading
}

// maxAge is when a snapshot is replaced even if no file has changed, so that the keys of session tickets are replaced
// too.
const maxAge = 24 * time.Hour

func (g *snapshot) expired() bool { return time.Since(g.made) > maxAge }

// stale reports whether the files must be read again.
func (g *snapshot) stale() bool {
	return g.expired() || slices.ContainsFunc(g.stamps, stamp.changed)
}

// loadSnapshot reads the files of a Server.
func loadSnapshot(s *Server) (*snapshot, error) {
	if s.Cert == "" {
		return nil, errors.New("no certificate file is given")
	}
	if s.Key == "" {
		return nil, fmt.Errorf("no key file is given for %s", s.Cert)
	}
	g := &snapshot{made: time.Now()}
	from := sourceFiles(s.TrustOwners)
	sum := sha256.New()
	read := func(path string, read func(string) ([]byte, error)) ([]byte, error) {
		g.stamps = append(g.stamps, newStamp(path)) // before it is read, so that no change is missed
		text, err := read(path)
		_ = binary.Write(sum, binary.BigEndian, int64(len(text)))
		sum.Write(text)
		return text, err
	}
	chain, err := read(s.Cert, from.read)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := read(s.Key, from.readKey)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if g.pair, err = parsePair(s.Cert, chain, s.Key, key); err != nil {
		return nil, err
	}
	if err := forServers(s.Cert, g.pair.Leaf); err != nil {
		return nil, err
	}
	if s.ClientCA == "" {
		g.sum = [sha256.Size]byte(sum.Sum(nil))
		return g, nil
	}
	text, err := read(s.ClientCA, from.read)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	authorities, err := parseCerts(s.ClientCA, text)
	if err != nil {
		return nil, err
	}
	g.roots = poolOf(authorities)
	if s.CRL != "" {
		if text, err = read(s.CRL, from.read); err != nil {
			return nil, fmt.Errorf("CRL: %w", err)
		}
		if g.crl, err = parseCRL(s.CRL, text, authorities); err != nil {
			return nil, err
		}
	}
	g.sum = [sha256.Size]byte(sum.Sum(nil))
	return g, nil
}

// forServers refuses a daemon's certificate that clients would refuse.
func forServers(path string, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%s: the certificate ended on %s; issue another", path, formatTime(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%s: the certificate begins on %s; wait, or set this machine's clock", path, formatTime(leaf.NotBefore))
	case !hasUsage(leaf, x509.ExtKeyUsageServerAuth):
		return fmt.Errorf("%s: the certificate is not for servers (extended key usage serverAuth); issue one that is", path)
	}
	return nil
}

// hasUsage reports whether a certificate may be used for a purpose.
func hasUsage(leaf *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, has := range leaf.ExtKeyUsage {
		if has == usage || has == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

// warning returns err, or else a warning about a snapshot that is used nevertheless; nil: there is none.
func (g *snapshot) warning(err error) error {
	if err != nil || g == nil {
		return err
	}
	path, leaf := g.stamps[0].path, g.pair.Leaf
	switch left := time.Until(leaf.NotAfter); {
	case left <= 0:
		return fmt.Errorf("%s: the certificate ended on %s, and clients refuse it; issue another", path, formatTime(leaf.NotAfter))
	case left < leaf.NotAfter.Sub(leaf.NotBefore)/10:
		return fmt.Errorf("%s: the certificate ends on %s; issue another (an automatic one is renewed at the next start)", path, formatTime(leaf.NotAfter))
	}
	return g.crl.outdated()
}

// config makes a configuration. Each one has its own keys for session tickets, so a session can be resumed only at
// the same listener and under the same snapshot.
func (g *snapshot) config(auth tls.ClientAuthType, protos []string) *tls.Config {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{g.pair},
		NextProtos:   protos,
		ClientAuth:   auth,
		ClientCAs:    g.roots,
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	c.SetSessionTicketKeys([][32]byte{key})
	if auth != tls.NoClientCert {
		c.VerifyConnection = g.verifyClient
	}
	return c
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// A stamp is the state of a file before it was read. It is compared with a later state.
type stamp struct {
	path string
	info fs.FileInfo // nil: os.Stat has failed
	at   time.Time
}

// tickLength is how old a change must be before an unchanged time of modification means an unchanged file. The clocks
// of file systems have ticks, and two changes in one tick have the same time.
const tickLength = time.Second

func newStamp(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return stamp{path, info, time.Now()}
}

// changed reports whether the file may have changed since the stamp was made.
func (s stamp) changed() bool {
	info, err := os.Stat(s.path)
	if err != nil || s.info == nil {
		return true
	}
	return !os.SameFile(info, s.info) || info.Size() != s.info.Size() || info.Mode() != s.info.Mode() ||
		!info.ModTime().Equal(s.info.ModTime()) || s.at.Sub(s.info.ModTime()).Abs() < tickLength
}

// verifyClient implements tls.Config.VerifyConnection. It checks the certificate of a client, also of a client that
// resumes a session: crypto/tls takes the certificate from the session then and does not verify it.
func (g *snapshot) verifyClient(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // crypto/tls has checked before that ClientAuth allows it
	}
	chains := state.VerifiedChains
	if state.DidResume {
		var err error
		if chains, err = g.verify(state.PeerCertificates); err != nil {
			return fmt.Errorf("resumed session: %w", err)
		}
	} else if len(chains) > 0 {
		g.cache.add(chainKey("", state.PeerCertificates), chains)
	}
	return g.checkClient(state.PeerCertificates[0], chains)
}

// verify returns the chains of a client's certificates.
func (g *snapshot) verify(certs []*x509.Certificate) ([][]*x509.Certificate, error) {
	return g.cache.verify("", certs, g.roots, x509.ExtKeyUsageClientAuth)
}

// checkClient checks the usage and the revocations of a certificate whose chains were verified.
func (g *snapshot) checkClient(leaf *x509.Certificate, chains [][]*x509.Certificate) error {
	if len(chains) == 0 {
		return errors.New("the client's certificate was not verified")
	}
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("the certificate %s is not for clients: it lacks the extended key usage clientAuth", FingerprintOf(leaf).Pin())
	}
	return g.crl.check(chains)
}

// validUntil returns until when these certificates of a client are trusted if the files do not change. The zero time
// means that they are refused now.
func (g *snapshot) validUntil(certs []*x509.Certificate) (until time.Time) {
	if g == nil || g.roots == nil { // with nil, Verify would use the roots of the system
		return time.Time{}
	}
	chains, err := g.verify(certs)
	if err != nil || g.checkClient(certs[0], chains) != nil {
		return time.Time{}
	}
	for _, chain := range chains {
		if end := chainEnd(chain); end.After(until) {
			until = end
		}
	}
	return until
}

// chainEnd returns when the first certificate of a chain ends.
func chainEnd(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, cert := range chain[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}
