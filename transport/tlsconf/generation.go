package tlsconf

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A generation is what the files of a Server said at one time. Listeners make their configurations from
// it, and a change makes another, so that no session that an older one vouched for is resumed.
type generation struct {
	number int // later ones have higher ones
	sum    [sha256.Size]byte
	made   time.Time

	pair  tls.Certificate
	roots *x509.CertPool // nil: no client is asked
	lists *revocations   // nil: nothing is revoked
	known memory         // of clients' certificates

	stamps []stamp // of the files; they belong to whoever reads them
}

// wear is after how long a generation is replaced though nothing has changed, so that the keys of
// session tickets do not last for ever.
const wear = 24 * time.Hour

func (g *generation) worn() bool { return time.Since(g.made) > wear }

// stale reports whether files must be read again.
func (g *generation) stale() bool {
	return g.worn() || slices.ContainsFunc(g.stamps, stamp.changed)
}

// loadGeneration reads the files of a Server.
func loadGeneration(s *Server) (*generation, error) {
	if s.Cert == "" {
		return nil, errors.New("no certificate file is given")
	}
	if s.Key == "" {
		return nil, fmt.Errorf("no key file is given for %s", s.Cert)
	}
	g := &generation{made: time.Now()}
	from := sources(s.TrustOwners)
	sum := sha256.New()
	read := func(path string, read func(string) ([]byte, error)) ([]byte, error) {
		g.stamps = append(g.stamps, stampOf(path)) // before it is read, so that no change is missed
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
		if g.lists, err = parseCRL(s.CRL, text, authorities); err != nil {
			return nil, err
		}
	}
	g.sum = [sha256.Size]byte(sum.Sum(nil))
	return g, nil
}

// forServers refuses a daemon's certificate that no client would believe.
func forServers(path string, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%s: the certificate ended on %s; issue another", path, moment(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%s: the certificate begins on %s; wait, or set this machine's clock", path, moment(leaf.NotBefore))
	case !hasUsage(leaf, x509.ExtKeyUsageServerAuth):
		return fmt.Errorf("%s: the certificate is not for servers (extended key usage serverAuth); issue one that is", path)
	}
	return nil
}

// hasUsage reports whether a certificate may be used for something.
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

// trouble is why the files cannot be used, or else what is wrong with a generation that stays in force
// nevertheless.
func (g *generation) trouble(err error) error {
	if err != nil || g == nil {
		return err
	}
	path, leaf := g.stamps[0].path, g.pair.Leaf
	switch left := time.Until(leaf.NotAfter); {
	case left <= 0:
		return fmt.Errorf("%s: the certificate ended on %s, and clients refuse it; issue another", path, moment(leaf.NotAfter))
	case left < leaf.NotAfter.Sub(leaf.NotBefore)/10:
		return fmt.Errorf("%s: the certificate ends on %s; issue another (an automatic one is renewed at the next start)", path, moment(leaf.NotAfter))
	}
	return g.lists.outdated()
}

// config makes a configuration. Every one has its own keys for session tickets: a session is resumed only
// at the listener, and in the generation, in which it began.
func (g *generation) config(auth tls.ClientAuthType, protos []string) *tls.Config {
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

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
