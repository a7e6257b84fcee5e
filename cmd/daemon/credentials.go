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

// credentials has the secrets and certificates of the daemon, and the subjects that it accepts.
type credentials struct {
	access         access.Options         // the options of the policy
	auth           *secrets.Authenticator // nil: there are no passwords and no tokens
	files          Auth                   // the configuration that auth was opened with
	pki            string                 // the directory of the automatic CA; empty: there is none
	hosts          []string               // the host names and addresses in the server certificate of that CA
	server         *tlsconf.Server        // the server side of that CA
	bootstrapToken string                 // the file with the bootstrap token; empty: none was made
}

// loadCredentials reads the files that the configuration names, and creates them at the first start. It reuses what
// old, which may be nil, has opened with the same settings.
func loadCredentials(c *Config, old *credentials, log *slog.Logger) (_ *credentials, err error) {
	if old == nil {
		old = &credentials{}
	}
	creds := &credentials{access: c.accessOptions(), files: c.Auth}
	defer func() {
		if err != nil {
			creds.removeBootstrapToken()
		}
	}()
	if err := creds.openSecrets(c, old, log); err != nil {
		return nil, err
	}
	if err := creds.openPKI(c, old, log); err != nil {
		return nil, err
	}
	for _, l := range c.Listen {
		if p := l.anonymousPrincipal(); p.Subject != "" && !slices.Contains(creds.access.Principals, p) {
			creds.access.Principals = append(creds.access.Principals, p)
		}
	}
	if _, err := access.NewPolicy(creds.access); err != nil {
		return nil, err
	}
	return creds, nil
}

// openSecrets opens the files with passwords and tokens. If the tokens-file did not exist, it makes a bootstrap token.
// That token has the role monitor for a day.
func (creds *credentials) openSecrets(c *Config, old *credentials, log *slog.Logger) (err error) {
	if !c.Auth.any() {
		return nil
	}
	if old.auth != nil && old.files == c.Auth {
		creds.auth, creds.access.Users, creds.access.Tokens = old.auth, old.auth.Users, old.auth.Tokens
		return nil
	}
	if path := c.Auth.UsersFile; path != "" {
		if creds.access.Users, err = secrets.OpenUsers(path, c.trust...); err != nil {
			return err
		}
		creds.access.Users.OnError = logErrors(log)
	}
	if path := c.Auth.TokensFile; path != "" {
		_, there := os.Lstat(path)
		if creds.access.Tokens, err = secrets.OpenTokens(path, c.trust...); err != nil {
			return err
		}
		creds.access.Tokens.OnError = logErrors(log)
		if errors.Is(there, fs.ErrNotExist) && c.StateDir != "" {
			if err := creds.mintBootstrapToken(creds.access.Tokens, filepath.Join(c.StateDir, "first.token")); err != nil {
				return err
			}
		}
	}
	creds.auth = &secrets.Authenticator{Users: creds.access.Users, Tokens: creds.access.Tokens}
	return nil
}

func logErrors(log *slog.Logger) func(error) {
	return func(err error) { log.Error("the old version stays in force", "error", err) }
}

func (creds *credentials) mintBootstrapToken(tokens *secrets.Tokens, path string) error {
	secret, err := tokens.Mint("first", "monitor", time.Now().Add(24*time.Hour))
	if err != nil {
		return fmt.Errorf("the bootstrap token: %w", err)
	}
	creds.bootstrapToken = path
	_ = os.Remove(path) // left from an earlier start
	if err := sharedfile.Create(path, []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("the bootstrap token: %w", err)
	}
	return nil
}

// removeBootstrapToken removes the bootstrap token and the new tokens-file when the configuration is not committed. The
// next transaction then makes and announces a new one.
func (creds *credentials) removeBootstrapToken() {
	if creds.bootstrapToken != "" {
		_ = os.Remove(creds.bootstrapToken)
		_ = os.Remove(creds.files.TokensFile)
	}
}

// openPKI opens or creates the automatic CA, if a listener wants one. Its client certificate "admin" gets the role
// admin by its fingerprint, because another CA can issue a certificate with the same name.
func (creds *credentials) openPKI(c *Config, old *credentials, log *slog.Logger) error {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, l := range c.Listen {
		if l.PKI == "auto" {
			creds.pki = filepath.Join(c.StateDir, "pki")
			hosts = append(hosts, l.certificateHosts()...)
		}
	}
	if creds.pki == "" {
		return nil
	}
	slices.Sort(hosts)
	creds.hosts = slices.Compact(hosts)
	if old.server != nil && old.pki == creds.pki && slices.Equal(old.hosts, creds.hosts) {
		creds.server = old.server
	} else {
		var err error
		if creds.server, err = tlsconf.Auto(creds.pki, creds.hosts, c.trust...); err != nil {
			return err
		}
		creds.server.OnError = logErrors(log)
	}
	ca, err := tlsconf.OpenCA(creds.pki, c.trust...)
	if err != nil {
		return err
	}
	issued, err := ca.List()
	for _, cert := range issued {
		if cert.Name == "admin" && !cert.Server && cert.Revoked.IsZero() {
			creds.access.Principals = append(creds.access.Principals, access.Principal{Subject: cert.Fingerprint.Subject(), Role: "admin"})
		}
	}
	return err
}

// serverTLS returns the TLS settings of a listener, or nil for a listener without TLS.
func (creds *credentials) serverTLS(l *Listen, trust []uint32, log *slog.Logger) *tlsconf.Server {
	switch {
	case l.Insecure:
		return nil
	case l.PKI == "auto":
		return creds.server
	}
	return &tlsconf.Server{Cert: l.Cert, Key: l.Key, ClientCA: l.ClientCA, CRL: l.CRL, TrustOwners: trust, OnError: logErrors(log)}
}

// anonymousPrincipal returns the principal of peers without credentials, or the zero value if the listener has none.
func (l *Listen) anonymousPrincipal() access.Principal {
	if l.Anonymous == "" {
		return access.Principal{}
	}
	return access.Principal{Subject: "anonymous:" + l.Anonymous, Role: l.Anonymous}
}

// maxAccess returns the highest level that any peer has through the listener, or 0 if there is no limit. It is read for
// anonymous peers, unless the file says another level.
func (l *Listen) maxAccess() mgr.Level {
	maxAccess, _ := parseLevel(l.MaxAccess) // complete has checked the value
	if maxAccess == 0 && l.Anonymous != "" {
		return mgr.Read
	}
	return maxAccess
}

// parseLevel returns the level with a name, or 0 for an empty name.
func parseLevel(name string) (mgr.Level, error) {
	if name == "" {
		return 0, nil
	}
	l, ok := mgr.ParseLevel(name)
	if !ok {
		return 0, fmt.Errorf("%q is none of read, write and admin", name)
	}
	return l, nil
}
