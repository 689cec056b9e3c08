package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Column is a column of a table, or a line of a list.
type Column struct {
	Head   string
	Cell   func(*Result) string
	Detail bool // left out where there is little room
}

// Table writes results as Markdown, one a line, without details.
func Table(w io.Writer, columns []Column, results []*Result) error {
	rows := make([][]string, len(results)+1)
	for _, c := range columns {
		if c.Detail {
			continue
		}
		rows[0] = append(rows[0], c.Head)
		for k, r := range results {
			rows[k+1] = append(rows[k+1], c.Cell(r))
		}
	}
	return markdown(w, rows)
}

// List writes one result as Markdown, one number a line.
func List(w io.Writer, columns []Column, r *Result) error {
	var rows [][]string
	for _, c := range columns {
		rows = append(rows, []string{c.Head, c.Cell(r)})
	}
	return markdown(w, rows)
}

// markdown writes a table, the first row as its head, padded so that it reads well without rendering, too.
func markdown(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for k, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s ", cell, pad) // names to the left
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, cell) // numbers to the right
			}
		}
		b.WriteString("|\n")
		if k == 0 {
			for i, width := range widths {
				rule := strings.Repeat("-", width)
				if i == 0 {
					fmt.Fprintf(&b, "|:%s-", rule)
				} else {
					fmt.Fprintf(&b, "|-%s:", rule)
				}
			}
			b.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Number renders a number to about three digits, with thousands set off.
func Number(v float64) string {
	switch {
	case v >= 100:
		return count(v)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func count(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
