package example;

import java.util.List;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenClaimsContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;

/** Spring Authorization Server as Spring Boot configures it, with one addition: whom tokens are for. */
@Configuration
@EnableAutoConfiguration
public class AuthorizationServer {
    public static void main(String[] arguments) {
        SpringApplication.run(AuthorizationServer.class, arguments);
    }

    /** Without it, the audience of a token is its client. */
    @Bean
    OAuth2TokenCustomizer<OAuth2TokenClaimsContext> audience() {
        return context -> {
            boolean paysOnly = context.getRegisteredClient().getClientId().equals("app-of-payments");
            context.getClaims().audience(List.of(paysOnly ? "payments-api" : "orders-api"));
        };
    }
}
