package sqlstore

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
)

// withNext is how many rows a query for a page is limited to: one more than the page tells whether there are more.
func withNext(limit int) int { return max(limit, 0) + 1 }

// readPage reads the rows of a query one by one until the page is full, so that no more of them are in memory.
func readPage[Row, Item any](ctx context.Context, db *sqlx.DB, limit int, query string, args []any, decode func(*Row) (item Item, size int, err error)) (items []Item, more bool, err error) {
	rows, err := db.QueryxContext(ctx, db.Rebind(query), args...)
	if err != nil {
		return nil, false, translate(err)
	}
	defer rows.Close() //nolint:errcheck // the page is complete by then
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
