namespace Millrace.StreamSql;
