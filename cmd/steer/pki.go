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

const pkiHelp = `Manage a private certificate authority (CA) for daemons and their clients: files in a
directory DIR. Keep the directory on one machine, and copy from it what others need.`

const pkiExamples = `  steer pki init pki
  steer pki issue pki dhcp1 --server --host dhcp1.example --host 192.0.2.1
  steer pki issue pki ann --client --san ann.ops.example
  steer pki list pki
  steer pki revoke pki ann`

// pkiCommand returns `steer pki`.
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
	t := &trust{}
	t.flag(cmd)
	cmd.AddCommand(pkiInit(stdout, t), pkiIssue(stdout, t), pkiRevoke(stdout, t), pkiList(stdout, t))
	return cmd
}

func pkiInit(stdout io.Writer, t *trust) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a CA in a directory.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := args[0]
			if _, err := tlsconf.CreateCA(dir, name, t.owners(dir)...); err != nil {
				return err
			}
			return say(stdout, "made a CA in %s", dir).
				file(filepath.Join(dir, tlsconf.CACert), "for every daemon (client-ca) and every client (--ca)").
				file(filepath.Join(dir, tlsconf.CRLFile), "for every daemon (crl); copy it again after each revoke").
				file(filepath.Join(dir, tlsconf.CAKey), "stays here, secret; keep a backup").
				end("next: steer pki issue %[1]s NAME --server --host HOST\n      steer pki issue %[1]s NAME --client", quoted(dir))
		},
	}
	cmd.Flags().StringVar(&name, "name", "rudderpost private CA", "what people shall read in its certificate")
	return cmd
}

// issueOptions are the flags of issue.
type issueOptions struct {
	server, client bool
	hosts          []string
	san            string
	days           int
}

func pkiIssue(stdout io.Writer, t *trust) *cobra.Command {
	var o issueOptions
	cmd := &cobra.Command{
		Use:   "issue DIR NAME --server --host HOST… | --client [--san NAME]",
		Short: "Issue a certificate, into DIR/NAME.pem and DIR/NAME.key.",
		Long: `Issue a certificate, into DIR/NAME.pem and DIR/NAME.key. What was issued before under the
same name is replaced there, but stays valid until it ends or is revoked.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			ca, err := openCA(args[0], t)
			if err != nil {
				return err
			}
			return o.issue(ca, args[0], args[1], stdout)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.server, "server", false, "for a daemon")
	flags.BoolVar(&o.client, "client", false, "for a client")
	flags.StringArrayVar(&o.hosts, "host", nil, "a name or address at which clients reach the daemon; may be repeated")
	flags.StringVar(&o.san, "san", "", "who the client is: a DNS name or a URI (default NAME)")
	flags.IntVar(&o.days, "days", 0, "how long it lasts, 825 at most (default 825)")
	cmd.MarkFlagsOneRequired("server", "client")
	cmd.MarkFlagsMutuallyExclusive("server", "client")
	cmd.MarkFlagsMutuallyExclusive("server", "san")
	cmd.MarkFlagsMutuallyExclusive("client", "host")
	return cmd
}

// issue issues a certificate and says what to do with it.
func (o *issueOptions) issue(ca *tlsconf.CA, dir, name string, stdout io.Writer) error {
	const day = 24 * time.Hour
	life := time.Duration(min(max(o.days, -1), 36500)) * day // what is too long is refused there, and must not overflow here
	if o.server {
		is, err := ca.IssueServer(name, o.hosts, life)
		if err != nil {
			return err
		}
		return say(stdout, "issued %s for a daemon at %s, until %s", is.Name, strings.Join(is.Hosts, ", "), date(is.NotAfter)).
			file(is.Cert, "for the daemon (cert)").
			file(is.Key, "for the daemon (key), and for nobody else").
			end("a client without the CA may pin it: %s", is.Fingerprint.Pin())
	}
	is, err := ca.IssueClient(name, o.san, life)
	if err != nil {
		return err
	}
	return say(stdout, "issued %s for a client, until %s", is.Name, date(is.NotAfter)).
		file(is.Cert, "for the client (--cert)").
		file(is.Key, "for the client (--key), and for nobody else").
		file(filepath.Join(dir, tlsconf.CACert), "for the client (--ca)").
		end("next: give the subject %q a role, in a [[principal]] of the daemon's configuration", tlsconf.Cert{Name: is.SAN}.Subject())
}

func pkiRevoke(stdout io.Writer, t *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke DIR NAME",
		Short: "Revoke what was issued under a name.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, name := args[0], args[1]
			ca, err := openCA(dir, t)
			if err != nil {
				return err
			}
			if err := ca.Revoke(name); err != nil {
				return err
			}
			return say(stdout, "revoked %s", name).
				file(filepath.Join(dir, tlsconf.CRLFile), "for every daemon that does not read it here (crl)").
				end("each daemon that reads it refuses new conns of %[1]s and closes those that are open, within seconds", name)
		},
	}
}

func pkiList(stdout io.Writer, t *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "list DIR",
		Short: "List what was issued.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ca, err := openCA(args[0], t)
			if err != nil {
				return err
			}
			all, err := ca.List()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tKIND\tNAMES\tUNTIL\tREVOKED\tFINGERPRINT")
			for _, is := range all {
				revoked := "-"
				if !is.Revoked.IsZero() {
					revoked = date(is.Revoked)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", is.Name, is.Kind(),
					cmp.Or(is.SAN, strings.Join(is.Hosts, ",")), date(is.NotAfter), revoked, is.Fingerprint.Pin())
			}
			return table.Flush()
		},
	}
}

// openCA opens the CA in dir.
func openCA(dir string, t *trust) (*tlsconf.CA, error) {
	ca, err := tlsconf.OpenCA(dir, t.owners(dir)...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no CA in %s (%w); steer pki init makes one", dir, err)
	}
	return ca, err
}

// A report says what was done, which files are for whom, and what comes next.
type report struct {
	table *tabwriter.Writer
}

// say begins a report.
func say(w io.Writer, format string, args ...any) report {
	r := report{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintf(r.table, format+"\n", args...)
	return r
}

// file adds a file, and who needs it.
func (r report) file(path, why string) report {
	fmt.Fprintf(r.table, "  %s\t%s\n", path, why)
	return r
}

// end prints the report, with what comes next.
func (r report) end(format string, args ...any) error {
	fmt.Fprintf(r.table, format+"\n", args...)
	return r.table.Flush()
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
