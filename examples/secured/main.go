// Secured is a daemon for local and remote clients: with TLS, roles, passwords and an audit file.
//
//	printf 'correct horse\n' | steer user add secured/users ann --role operator
//	steer -s unix:secured.sock whoami
//	steer -s tls://127.0.0.1:7463 --pki secured/pki count-get
//	steer -s https://127.0.0.1:8463 --ca secured/pki/ca.pem --user ann count-add n=2
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, "secured", "secured.sock", "127.0.0.1:7463", "127.0.0.1:8463"); err != nil {
		log.Fatal(err)
	}
}

type amount struct {
	N int `json:"n" doc:"What to add." schema:"min=1"`
}

func run(ctx context.Context, state, socket, tlsAddress, httpsAddress string) error {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	// TLS: a certificate authority, a server certificate and a client certificate "admin" in state/pki.
	pki := filepath.Join(state, "pki")
	server, err := tlsconf.Auto(pki, []string{"localhost", "127.0.0.1"})
	if err != nil {
		return err
	}
	// Passwords: a file that steer user changes.
	users, err := secrets.OpenUsers(filepath.Join(state, "users"))
	if err != nil {
		return err
	}
	// Roles: those of users are in their file. The certificate "admin" gets its role by its fingerprint, because
	// another authority could issue the same name.
	admins, err := administrators(pki)
	if err != nil {
		return err
	}
	policy, err := access.NewPolicy(access.Options{Users: users, Principals: admins})
	if err != nil {
		return err
	}
	// The audit.
	record, err := audit.Open(audit.Options{Path: filepath.Join(state, "audit.jsonl")})
	if err != nil {
		return err
	}
	defer record.Close()

	m := mgr.New(&mgr.Options{Authorizer: policy, Recorder: record})
	count := 0 // only handlers of mgr.Func use it, and they run one at a time
	if err := m.Register(
		mgr.Func("count-get", "Return the count.", mgr.Read,
			func(context.Context, mgr.None) (int, error) { return count, nil }),
		mgr.Func("count-add", "Add to the count.", mgr.Write,
			func(_ context.Context, a amount) (int, error) { count += a.N; return count, nil }),
	); err != nil {
		return err
	}
	if err := m.Register(append(record.Commands(), access.Commands(policy, m)...)...); err != nil {
		return err
	}
	return m.Run(ctx,
		&http.Transport{Address: httpsAddress, TLS: server, Authenticator: &secrets.Authenticator{Users: users}, OnRefused: record.Refused},
		&tcp.Transport{Address: tlsAddress, TLS: server, OnRefused: record.Refused},
		&unix.Transport{Path: socket},
	)
}

// administrators returns the principals for the client certificates "admin" of the authority in pki.
func administrators(pki string) (admins []access.Principal, err error) {
	ca, err := tlsconf.OpenCA(pki)
	if err != nil {
		return nil, err
	}
	issued, err := ca.List()
	for _, cert := range issued {
		if cert.Name == "admin" && !cert.Server && cert.Revoked.IsZero() {
			admins = append(admins, access.Principal{Subject: cert.Fingerprint.Subject(), Role: "admin"})
		}
	}
	return admins, err
}
