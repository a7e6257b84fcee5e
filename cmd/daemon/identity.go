package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// An identity is who the daemon is, and whom it believes.
type identity struct {
	access access.Options         // what the policy is made of
	auth   *secrets.Authenticator // nil: there are no passwords and no tokens
	files  Auth                   // whose it is
	pki    string                 // the directory of the automatic CA; empty: there is none
	hosts  []string               // whom its certificate is for
	server *tlsconf.Server        // of the automatic CA
	first  string                 // where the first token is; empty: none was minted
}

// identify reads, or makes at a first start, what the configuration says about identities. What is open
// of the identity before, which may be nil, stays so where the new one has it too.
func identify(c *Config, before *identity, log *slog.Logger) (_ *identity, err error) {
	if before == nil {
		before = &identity{}
	}
	id := &identity{access: c.access(), files: c.Auth}
	defer func() {
		if err != nil {
			id.forgetFirst()
		}
	}()
	if err := id.openSecrets(c, before, log); err != nil {
		return nil, err
	}
	if err := id.openPKI(c, before, log); err != nil {
		return nil, err
	}
	for _, l := range c.Listen {
		if p := l.passesFor(); p.Subject != "" && !slices.Contains(id.access.Principals, p) {
			id.access.Principals = append(id.access.Principals, p)
		}
	}
	if _, err := access.NewPolicy(id.access); err != nil {
		return nil, err
	}
	return id, nil
}

// openSecrets opens the files of passwords and tokens. Where there was no tokens-file, a first token
// is minted, for who wants to look around: it may read, for a day.
func (id *identity) openSecrets(c *Config, before *identity, log *slog.Logger) (err error) {
	if !c.Auth.any() {
		return nil
	}
	if before.auth != nil && before.files == c.Auth {
		id.auth, id.access.Users, id.access.Tokens = before.auth, before.auth.Users, before.auth.Tokens
		return nil
	}
	if path := c.Auth.UsersFile; path != "" {
		if id.access.Users, err = secrets.OpenUsers(path, c.trust...); err != nil {
			return err
		}
		id.access.Users.OnError = logged(log)
	}
	if path := c.Auth.TokensFile; path != "" {
		_, there := os.Lstat(path)
		if id.access.Tokens, err = secrets.OpenTokens(path, c.trust...); err != nil {
			return err
		}
		id.access.Tokens.OnError = logged(log)
		if errors.Is(there, fs.ErrNotExist) && c.StateDir != "" {
			if err := id.mintFirst(id.access.Tokens, filepath.Join(c.StateDir, "first.token")); err != nil {
				return err
			}
		}
	}
	id.auth = &secrets.Authenticator{Users: id.access.Users, Tokens: id.access.Tokens}
	return nil
}

func logged(log *slog.Logger) func(error) {
	return func(err error) { log.Error("what was in force stays so", "error", err) }
}

func (id *identity) mintFirst(tokens *secrets.Tokens, path string) error {
	secret, err := tokens.Mint("first", "monitor", time.Now().Add(24*time.Hour))
	if err != nil {
		return fmt.Errorf("the first token: %w", err)
	}
	id.first = path
	_ = os.Remove(path) // of an earlier start
	if err := sharedfile.Create(path, []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("the first token: %w", err)
	}
	return nil
}

// forgetFirst takes back the first token of a configuration that does not come into force, and its file: the
// next one shall find none, mint another, and say so.
func (id *identity) forgetFirst() {
	if id.first != "" {
		_ = os.Remove(id.first)
		_ = os.Remove(id.files.TokensFile)
	}
}

// openPKI makes the automatic CA, if a listener wants one. The certificate "admin" that it issues is
// an administrator's, by its fingerprint: another CA may give somebody the same name.
func (id *identity) openPKI(c *Config, before *identity, log *slog.Logger) error {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, l := range c.Listen {
		if l.PKI == "auto" {
			id.pki = filepath.Join(c.StateDir, "pki")
			hosts = append(hosts, l.hosts()...)
		}
	}
	if id.pki == "" {
		return nil
	}
	slices.Sort(hosts)
	id.hosts = slices.Compact(hosts)
	if before.server != nil && before.pki == id.pki && slices.Equal(before.hosts, id.hosts) {
		id.server = before.server
	} else {
		var err error
		if id.server, err = tlsconf.Auto(id.pki, id.hosts, c.trust...); err != nil {
			return err
		}
		id.server.OnError = logged(log)
	}
	ca, err := tlsconf.OpenCA(id.pki, c.trust...)
	if err != nil {
		return err
	}
	issued, err := ca.List()
	for _, cert := range issued {
		if cert.Name == "admin" && !cert.Server && cert.Revoked.IsZero() {
			id.access.Principals = append(id.access.Principals, access.Principal{Subject: cert.Fingerprint.Subject(), Role: "admin"})
		}
	}
	return err
}

// tls returns what a listener needs for TLS, or nothing where it is to have none.
func (id *identity) tls(l *Listen, trust []uint32, log *slog.Logger) *tlsconf.Server {
	switch {
	case l.Insecure:
		return nil
	case l.PKI == "auto":
		return id.server
	}
	return &tlsconf.Server{Cert: l.Cert, Key: l.Key, ClientCA: l.ClientCA, CRL: l.CRL, TrustOwners: trust, OnError: logged(log)}
}

// passesFor returns what the listener's peers may do who can prove nothing, if there are any.
func (l *Listen) passesFor() access.Principal {
	if l.Anonymous == "" {
		return access.Principal{}
	}
	return access.Principal{Subject: "anonymous:" + l.Anonymous, Role: l.Anonymous}
}

// ceiling is what nobody may do more of through the listener, whatever their role; 0: there is none.
// Those who prove nothing may not do more than read unless somebody says so.
func (l *Listen) ceiling() mgr.Level {
	most, _ := level(l.MaxAccess) // complete has checked it
	if most == 0 && l.Anonymous != "" {
		return mgr.Read
	}
	return most
}

// level returns the access level of a name. None is 0.
func level(name string) (mgr.Level, error) {
	if name == "" {
		return 0, nil
	}
	l, ok := mgr.ParseLevel(name)
	if !ok {
		return 0, fmt.Errorf("%q is none of read, write and admin", name)
	}
	return l, nil
}
