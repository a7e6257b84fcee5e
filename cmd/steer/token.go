package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/spf13/cobra"
)

// tokenCommand returns "steer token", which edits the tokens-file of a daemon.
func tokenCommand(stdout io.Writer) *cobra.Command {
	cmd := parentCommand("token", "Create and remove tokens.", `Edit the tokens-file of a daemon, which [auth] in its configuration names. A token is a
secret for a program, and gives it a role. A running daemon applies a change within a second.`)
	owners := &trustedOwners{}
	owners.addFlag(cmd)
	cmd.AddCommand(tokenMint(stdout, owners), tokenRemove(owners), tokenList(stdout, owners))
	return cmd
}

func tokenMint(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	var role, expires, to string
	cmd := &cobra.Command{
		Use:   "mint FILE ID --role ROLE",
		Short: "Create a token and print it. It cannot be printed again.",
		Example: `  steer token mint run/tokens ci --role monitor --expires 30d --to ~/.config/ci.token
  steer token mint run/tokens backup --role operator --expires 2027-01-01`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			expiry, err := parseExpires(expires, time.Now())
			if err != nil {
				return err
			}
			tokens, err := openOrCreate(cmd, args[0], owners, secrets.OpenTokens)
			if err != nil {
				return err
			}
			if err := mintAndDeliver(tokens, secrets.Token{ID: args[1], Role: role, Expires: expiry}, stdout, to); err != nil {
				return err
			}
			hintCustomRole(cmd, role)
			fmt.Fprintf(cmd.ErrOrStderr(), "The token %q expires: %s.\n", args[1], formatExpiry(expiry))
			return nil
		},
	}
	roleFlag(cmd, &role)
	cmd.Flags().StringVar(&expires, "expires", "90d", "when it expires: after 24h or 90d, at 2027-01-01 (UTC) or 2027-01-01T12:00:00Z, or never")
	cmd.Flags().StringVar(&to, "to", "", "write it to a new file with mode 0600 instead of printing it")
	return cmd
}

// mintAndDeliver creates a token, and writes its secret to stdout, or to the new file to. If the write fails, it
// removes the token.
func mintAndDeliver(tokens *secrets.Tokens, t secrets.Token, stdout io.Writer, to string) error {
	deliver := func(secret string) error {
		_, err := fmt.Fprintln(stdout, secret)
		return err
	}
	if to != "" {
		f, err := createFile(to)
		if err != nil {
			return err
		}
		defer f.Close()
		deliver = func(secret string) error {
			_, err := fmt.Fprintln(f, secret)
			return errors.Join(err, f.Close())
		}
	}
	secret, err := tokens.Mint(t.ID, t.Role, t.Expires)
	if err == nil {
		if err = deliver(secret); err != nil {
			err = errors.Join(err, tokens.Remove(t.ID))
		}
	}
	if err != nil && to != "" {
		_ = os.Remove(to)
	}
	return err
}

// createFile creates a file with mode 0600, and fails if it exists. If root runs steer, the file gets the owner of its
// folder.
func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := trustedpath.TakeFolderOwner(f, filepath.Dir(path)); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return f, nil
}

// parseExpires parses --expires. The zero time means never.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "never" {
		return time.Time{}, nil
	}
	if expiry, ok := parseTimeOrOffset(text, now, 1); ok {
		return expiry, nil
	}
	return time.Time{}, fmt.Errorf("--expires %q is not a time; write one such as 24h, 90d, 2027-01-01, 2027-01-01T12:00:00Z or never", text)
}

// parseTimeOrOffset parses a time, or an offset from now. direction is 1 for an offset into the future, -1 for the
// past.
func parseTimeOrOffset(text string, now time.Time, direction int) (time.Time, bool) {
	if number, days := strings.CutSuffix(text, "d"); days {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return now.AddDate(0, 0, direction*int(n)), true
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(time.Duration(direction) * d), true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if parsed, err := time.Parse(layout, text); err == nil {
			return parsed, true
		}
	}
	return time.Time{}, false
}

func formatExpiry(expiry time.Time) string {
	if expiry.IsZero() {
		return "never"
	}
	return expiry.UTC().Format(time.RFC3339)
}

func tokenRemove(owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE ID",
		Short: "Remove a token.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			tokens, err := openExisting(args[0], owners, secrets.OpenTokens)
			if err != nil {
				return err
			}
			return tokens.Remove(args[1])
		},
	}
}

func tokenList(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "list FILE",
		Short: "List the tokens, their roles, and when they expire.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			tokens, err := openExisting(args[0], owners, secrets.OpenTokens)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
			for _, t := range tokens.List() {
				expires := formatExpiry(t.Expires)
				if t.Expired(time.Now()) {
					expires += " (expired)"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\n", t.ID, t.Role, expires)
			}
			return table.Flush()
		},
	}
}
