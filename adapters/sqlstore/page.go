package sqlstore

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
)

// withNext is how many rows a query for a page is limited to: one more than the page tells whether there are more.
func withNext(limit int) int { return max(limit, 0) + 1 }

// sizeOf is what a column of text counts for in fitting: no more than a page, so that there is one after what fills a page
// alone.
func sizeOf(column string) string {
	return fmt.Sprintf(`CASE WHEN octet_length(%[1]s) > %[2]d THEN %[2]d ELSE octet_length(%[1]s) END AS size`, column, domain.MaxPage)
}

// fitting is a query for the keys of those rows that fit on a page, and of the one after them, so that neither the database
// sorts nor the driver receives more than that. The query chosen returns the key, what the order takes, and the size.
func fitting(key, order, chosen string) string {
	return fmt.Sprintf(`SELECT %[1]s FROM (SELECT %[1]s,
			sum(size) OVER (%[2]s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM (%[3]s) AS chosen) AS summed
		WHERE before IS NULL OR before <= %[4]d`, key, order, chosen, domain.MaxPage)
}

// readPage reads the rows of a query one by one until the page is full.
func readPage[Row, Item any](ctx context.Context, db *sqlx.DB, limit int, query string, args []any, decode func(*Row) (item Item, size int, err error)) (items []Item, more bool, err error) {
	rows, err := db.QueryxContext(ctx, db.Rebind(query), args...)
	if err != nil {
		return nil, false, translate(err)
	}
	defer rows.Close() // the page is complete by then
	page := domain.Page[Item]{Limit: limit}
	for !page.More && rows.Next() {
		var row Row
		if err := rows.StructScan(&row); err != nil {
			return nil, false, translate(err)
		}
		item, size, err := decode(&row)
		if err != nil {
			return nil, false, err
		}
		page.Add(item, size)
	}
	return page.Items, page.More, translate(rows.Err())
}
