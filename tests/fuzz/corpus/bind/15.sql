SELECT * FROM t x NATURAL JOIN t y JOIN t z USING (a, b) WHERE x.a BETWEEN SYMMETRIC 3 AND 1 AND string_agg(DISTINCT 'a', 'b') = overlay(md5('x')::varchar(3) PLACING 'y' FROM 2)
