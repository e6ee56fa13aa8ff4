SELECT to_char(148.5, 'FM9G990D99PR'), to_char(-1.5::float8, 'SG9.99EEEE'), to_char(485, '"n" 999th RN'), to_number('12,454.8-', '99G999D9S'), 2.5 ^ 1.5, log(2.0, 64.0)
