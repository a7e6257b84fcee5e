package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/spf13/cobra"
)

const pkiHelp = `Manage a private certificate authority (CA) for daemons and their clients. Its files are
in the directory DIR. Keep the directory on one machine, and copy single files from it.`

const pkiExamples = `  steer pki init pki
  steer pki issue pki dhcp1 --server --host dhcp1.example --host 192.0.2.1
  steer pki issue pki ann --client --san ann.ops.example
  steer pki list pki
  steer pki revoke pki ann`

// pkiCommand returns "steer pki", which manages a private CA.
func pkiCommand(stdout io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pki",
		Short:   "Manage a private certificate authority.",
		Long:    pkiHelp,
		Example: pkiExamples,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("pki needs one of init, issue, revoke and list")
		},
	}
	owners := &trustedOwners{}
	owners.addFlag(cmd)
	cmd.AddCommand(pkiInit(stdout, owners), pkiIssue(stdout, owners), pkiRevoke(stdout, owners), pkiList(stdout, owners))
	return cmd
}

func pkiInit(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a CA in a directory.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := args[0]
			if _, err := tlsconf.CreateCA(dir, name, owners.forPath(dir)...); err != nil {
				return err
			}
			return newPKIReport(stdout, "made a CA in %s", dir).
				addFile(filepath.Join(dir, tlsconf.CACert), "for every daemon (client-ca) and every client (--ca)").
				addFile(filepath.Join(dir, tlsconf.CRLFile), "for every daemon (crl); copy it again after each revoke").
				addFile(filepath.Join(dir, tlsconf.CAKey), "stays here, secret; keep a backup").
				print("next: steer pki issue %[1]s NAME --server --host HOST\n      steer pki issue %[1]s NAME --client", shellQuote(dir))
		},
	}
	cmd.Flags().StringVar(&name, "name", "rudderpost private CA", "the common name in the certificate of the CA")
	return cmd
}

// issueOptions are the flags of "steer pki issue".
type issueOptions struct {
	server, client bool
	hosts          []string
	san            string
	days           int
}

func pkiIssue(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	var o issueOptions
	cmd := &cobra.Command{
		Use:   "issue DIR NAME --server --host HOST… | --client [--san NAME]",
		Short: "Issue a certificate, into DIR/NAME.pem and DIR/NAME.key.",
		Long: `Issue a certificate, into DIR/NAME.pem and DIR/NAME.key. An older certificate with the
same name is overwritten, but stays valid until it expires or is revoked.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			ca, err := openCA(args[0], owners)
			if err != nil {
				return err
			}
			return o.issue(ca, args[0], args[1], stdout)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.server, "server", false, "for a daemon")
	flags.BoolVar(&o.client, "client", false, "for a client")
	flags.StringArrayVar(&o.hosts, "host", nil, "a DNS name or IP address of the daemon; may be repeated")
	flags.StringVar(&o.san, "san", "", "the subject of the client: a DNS name or a URI (default NAME)")
	flags.IntVar(&o.days, "days", 0, "how many days the certificate is valid, at most 825 (default 825)")
	cmd.MarkFlagsOneRequired("server", "client")
	cmd.MarkFlagsMutuallyExclusive("server", "client")
	cmd.MarkFlagsMutuallyExclusive("server", "san")
	cmd.MarkFlagsMutuallyExclusive("client", "host")
	return cmd
}

// issue issues a certificate, and prints its files and their use.
func (o *issueOptions) issue(ca *tlsconf.CA, dir, name string, stdout io.Writer) error {
	const day = 24 * time.Hour
	validity := time.Duration(min(max(o.days, -1), 36500)) * day // CA refuses more than 825 days; the bounds only prevent an overflow
	if o.server {
		issued, err := ca.IssueServer(name, o.hosts, validity)
		if err != nil {
			return err
		}
		return newPKIReport(stdout, "issued %s for a daemon at %s, until %s", issued.Name, strings.Join(issued.Hosts, ", "), formatDate(issued.NotAfter)).
			addFile(issued.Cert, "for the daemon (cert)").
			addFile(issued.Key, "for the daemon (key); keep it secret").
			print("a client without the CA can pin the certificate: %s", issued.Fingerprint.Pin())
	}
	issued, err := ca.IssueClient(name, o.san, validity)
	if err != nil {
		return err
	}
	return newPKIReport(stdout, "issued %s for a client, until %s", issued.Name, formatDate(issued.NotAfter)).
		addFile(issued.Cert, "for the client (--cert)").
		addFile(issued.Key, "for the client (--key); keep it secret").
		addFile(filepath.Join(dir, tlsconf.CACert), "for the client (--ca)").
		print("next: give the subject %q a role, in a [[principal]] of the daemon's configuration", tlsconf.Cert{Name: issued.SAN}.Subject())
}

func pkiRevoke(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke DIR NAME",
		Short: "Revoke the certificates with a name.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, name := args[0], args[1]
			ca, err := openCA(dir, owners)
			if err != nil {
				return err
			}
			if err := ca.Revoke(name); err != nil {
				return err
			}
			return newPKIReport(stdout, "revoked %s", name).
				addFile(filepath.Join(dir, tlsconf.CRLFile), "copy it to each daemon that does not read this file (crl)").
				print("each daemon that reads it refuses new conns of %[1]s, and closes the open ones, within seconds", name)
		},
	}
}

func pkiList(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "list DIR",
		Short: "List the certificates.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ca, err := openCA(args[0], owners)
			if err != nil {
				return err
			}
			certs, err := ca.List()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tKIND\tNAMES\tUNTIL\tREVOKED\tFINGERPRINT")
			for _, issued := range certs {
				revoked := "-"
				if !issued.Revoked.IsZero() {
					revoked = formatDate(issued.Revoked)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", issued.Name, issued.Kind(),
					cmp.Or(issued.SAN, strings.Join(issued.Hosts, ",")), formatDate(issued.NotAfter), revoked, issued.Fingerprint.Pin())
			}
			return table.Flush()
		},
	}
}

// openCA opens the CA in dir.
func openCA(dir string, owners *trustedOwners) (*tlsconf.CA, error) {
	ca, err := tlsconf.OpenCA(dir, owners.forPath(dir)...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no CA in %s (%w); steer pki init creates one", dir, err)
	}
	return ca, err
}

// A pkiReport is the output of "steer pki": the result, a table of files and their use, and the next step.
type pkiReport struct {
	table *tabwriter.Writer
}

// newPKIReport starts a report with its first line.
func newPKIReport(w io.Writer, format string, args ...any) pkiReport {
	r := pkiReport{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintf(r.table, format+"\n", args...)
	return r
}

// addFile adds a file and its use.
func (r pkiReport) addFile(path, why string) pkiReport {
	fmt.Fprintf(r.table, "  %s\t%s\n", path, why)
	return r
}

// print prints the report, with a last line.
func (r pkiReport) print(format string, args ...any) error {
	fmt.Fprintf(r.table, format+"\n", args...)
	return r.table.Flush()
}

func formatDate(t time.Time) string { return t.UTC().Format(time.DateOnly) }
