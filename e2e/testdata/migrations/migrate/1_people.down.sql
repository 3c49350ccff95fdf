DROP TABLE migrate_people;
