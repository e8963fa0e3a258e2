namespace Millrace.MySql;
